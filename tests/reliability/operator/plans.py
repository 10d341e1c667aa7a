"""All plans: which fault is done to which call of which workload, and what came of each.

The calls are taken from a run of the workload without faults, so that none is forgotten when the operator changes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.reliability.operator.api import RefusedError
from tests.reliability.operator.calls import ANSWERS, KILLS, WATCHES, Call, Fault
from tests.reliability.operator.state import difference
from tests.reliability.operator.workloads import WORKLOADS
from tests.reliability.operator.world import House, TroubleError, World

JOBS = Call("watch", "jobs")
STATUS = Call("patch", "trainingruns/status")
SERVER_STATUS = Call("patch", "modelservers/status")
WATCHED = ("trainingruns", "jobs", "pods")
OF_SERVERS = ("modelservers", "deployments")
SETTLED_SECONDS = 0.7
AFTER_REPLAY_SECONDS = 6.0


@dataclass(frozen=True)
class Plan:
    """A fault in a workload, and perhaps a bug that it is to find."""

    workload: str
    fault: Fault | None = None
    planted: str = ""

    def __str__(self) -> str:
        return f"{self.workload}: {self.fault or 'no fault'}" + (f", planted {self.planted}" if self.planted else "")


@dataclass(frozen=True)
class Reference:
    """How a workload ends without faults, and the calls that the operator made on the way."""

    state: Mapping[str, Any]
    calls: tuple[Call, ...]

    @property
    def writes(self) -> int:
        """The number of calls that change something."""
        return sum(call.writes for call in self.calls)


@dataclass(frozen=True)
class Outcome:
    """What came of a plan: nothing in `trouble` when it ended as the reference. `met`: the fault was done."""

    plan: Plan
    trouble: str
    met: bool
    seconds: float
    starts: int


async def reference(house: House, workload: str) -> Reference:
    """Run a workload without faults."""
    async with house.world() as world:
        try:
            await WORKLOADS[workload](world)
        except TroubleError as error:
            raise AssertionError(f"{workload} without faults: {error}: {json.dumps(world.state(), indent=1)}") from None
        state = await _settled(world)
        return Reference(state, tuple(world.proxy.calls))


async def references(house: House, workloads: Iterable[str]) -> dict[str, Reference]:
    """Run workloads without faults, side by side."""
    names = list(workloads)
    found = await asyncio.gather(*(reference(house, name) for name in names))
    return dict(zip(names, found, strict=True))


async def _settled(world: World) -> Mapping[str, Any]:
    state = world.state()
    while True:
        await asyncio.sleep(2 * SETTLED_SECONDS)
        before, state = state, world.state()
        if before == state:
            return state


def planted_plans() -> list[tuple[Plan, float]]:
    """For each class of faults a bug that it must find, and the seconds after which a sound operator is through."""
    return [
        (Plan(workload, fault, bug), seconds)
        for bug, workload, fault, seconds in (
            ("job-under-a-new-name", "suspend and resume", Fault("kill-unanswered", at=0), 75),
            ("create-tried-again-under-another-name", "create", Fault("lost", Call("create", "jobs")), 75),
            ("trusts-its-memory", "fail", Fault("replay", at=0), 75),
            ("trusts-its-first-list", "rollout", Fault("replay", at=26), 75),
            ("any-refusal-is-the-end", "create", Fault("422", Call("create", "jobs")), 45),
            ("gives-up-after-a-failed-pass", "create", Fault("503", STATUS), 45),
            ("writes-over-others", "create", Fault("409", STATUS, skip=2), 45),
            ("deletes-once", "fail", Fault("500", Call("delete", "jobs")), 45),
            ("no-timeout", "create", Fault("hang", STATUS), 45),
            ("a-broken-watch-stays-broken", "create", Fault("close", JOBS, skip=1), 45),
            ("a-broken-watch-stays-broken", "create", Fault("gone", JOBS, skip=1), 45),
            ("no-resync", "create", Fault("hide", JOBS, times=10_000), 75),
            ("no-resync", "create", Fault("stall", JOBS, skip=1), 75),
        )
    ]


def kills(workload: str, found: Reference) -> list[Plan]:
    """For each write the operator dies before it, after it without an answer, after the answer."""
    return [Plan(workload, Fault(kind, at=at)) for at in range(found.writes) for kind in KILLS]


def errors(workload: str, found: Reference) -> list[Plan]:
    """Each kind of call is answered by each error, twice in a row; hangs once; is torn and loses its answer."""
    counts = Counter(call for call in found.calls if call.verb != "watch" and call.resource[0] != "/")
    plans = []
    for call, count in sorted(counts.items()):
        for skip in (0, 1) if call.verb == "list" and count > 1 else (0,):
            plans += [Plan(workload, Fault(kind, call, skip=skip, times=2)) for kind in (*ANSWERS, "reset", "lost")]
            plans.append(Plan(workload, Fault("hang", call, skip=skip)))
    return plans


def watches(workload: str, found: Reference) -> list[Plan]:
    """Each watch of what belongs to runs and servers ends, breaks, stalls or is gone at its first events; some never
    come. A server takes ten steps to its end, and without a watch each waits for a resync: there none is away for good.
    """
    plans, serves = [], SERVER_STATUS in found.calls
    for call in (Call("watch", resource) for resource in (*WATCHED, *(OF_SERVERS if serves else ()))):
        kinds = [kind for kind in WATCHES if not (serves and kind == "stall")]
        plans += [Plan(workload, Fault(kind, call, skip=skip)) for kind in kinds for skip in (0, 1, 3)]
        plans += [Plan(workload, Fault("hide", call, skip=skip)) for skip in (0, 1, 2)]
        if not serves:
            plans.append(Plan(workload, Fault("hide", call, times=10_000)))
    return plans


def replays(workload: str, found: Reference) -> list[Plan]:
    """After its end the operator starts again and is shown the state from before each write."""
    return [Plan(workload, Fault("replay", at=at)) for at in range(found.writes)]


def all_plans(workload: str, found: Reference) -> list[Plan]:
    """Every plan of a workload."""
    return [plan for part in (kills, errors, watches, replays) for plan in part(workload, found)]


async def run(house: House, plan: Plan, found: Reference, **given: Any) -> Outcome:
    """Carry one plan out."""
    began, trouble = time.monotonic(), ""
    async with house.world(fault=plan.fault, planted=plan.planted, **given) as world:
        world.limits = found.state["made"]
        try:
            await WORKLOADS[plan.workload](world)
            await _converged(world, found)
            if plan.fault is not None and plan.fault.kind == "replay":
                await _replayed(world, found)
        except (TroubleError, RefusedError) as error:
            trouble = "; ".join([str(error), *difference(world.state(), found.state)])
        met = plan.fault is None or world.proxy.met > 0
        return Outcome(plan, trouble, met, time.monotonic() - began, world.starts)


async def _converged(world: World, found: Reference) -> None:
    await world.until("the reference state", lambda: world.state() == found.state)
    await asyncio.sleep(SETTLED_SECONDS)
    await world.until("the reference state to stay", lambda: world.state() == found.state and not world.zombies())


async def _replayed(world: World, found: Reference) -> None:
    world.proxy.replay()
    await world.restart()
    await asyncio.sleep(AFTER_REPLAY_SECONDS)
    await _converged(world, found)


async def with_and_without(
    house: House, plan: Plan, patience: float, found: Mapping[str, Reference]
) -> tuple[Outcome, Outcome]:
    """What came of a plan with its planted bug, and of the same plan without it."""
    reference_ = found[plan.workload]
    sound = run(house, replace(plan, planted=""), reference_, patience=patience)
    bad, good = await asyncio.gather(run(house, plan, reference_, patience=patience), sound)
    return bad, good


async def run_all(
    house: House, plans: Iterable[Plan], found: Mapping[str, Reference], at_once: int, **given: Any
) -> list[Outcome]:
    """Carry out plans, some at a time; the slow ones (they wait for the next resync) first."""
    gate = asyncio.Semaphore(at_once)

    async def one(plan: Plan) -> Outcome:
        async with gate:
            return await run(house, plan, found[plan.workload], **given)

    return list(await asyncio.gather(*(one(plan) for plan in sorted(plans, key=_quickness))))


def _quickness(plan: Plan) -> bool:
    return plan.fault is not None and plan.fault.kind not in ("stall", "hide", "hang")


def told(outcomes: Sequence[Outcome]) -> str:
    """The figures in one line."""
    met, longest = sum(o.met for o in outcomes), max((o.seconds for o in outcomes), default=0)
    bad = sum(bool(o.trouble) for o in outcomes)
    return f"{len(outcomes)} plans, {met} met their fault, {bad} in trouble, the longest took {longest:.0f} s"


def dump(outcomes: Sequence[Outcome]) -> str:
    """The plans that ended in trouble, one line each."""
    return "\n".join(f"{o.plan}: {o.trouble}" for o in outcomes if o.trouble)
