"""The short form of tests/reliability/operator: a sample of fault plans, planted bugs, lives, and a quiet minute.

All of it goes on side by side, so that the minute of quiet is not waited for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from devcluster.cluster import Cluster
from tests.integration.figures import tell
from tests.reliability.operator import plans, quiet, rights
from tests.reliability.operator.calls import Call, Fault
from tests.reliability.operator.plans import Outcome, Plan, Reference, dump, told
from tests.reliability.operator.test_lives import lived
from tests.reliability.operator.workloads import WORKLOADS
from tests.reliability.operator.world import House, house

AT_ONCE = 4
LIVES = 12
PATIENCE = 150.0  # the machine may be busy; `make reliability` holds the operator to 75 s
QUIET_SECONDS = 60
# These wait for a timeout or for the next resync: only `make reliability` has the time.
SLOW = ("hang", "stall", "hide")
SAMPLE = {"create": 6, "fail": 3} | dict.fromkeys(
    ("suspend and resume", "preempt", "delete half-way", "upgrade", "rollout"), 4
)
FOUND_AT_ONCE = ("job-under-a-new-name", "create-tried-again-under-another-name", "trusts-its-memory")


@dataclass(frozen=True)
class Proofs:
    """What came of all of it."""

    outcomes: list[Outcome]
    planted: list[tuple[Outcome, Outcome]]
    lives: list[str]
    writes: list[str]
    used: set[Call]
    refusals: list[str]


@pytest.fixture(scope="module")
def proofs(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Proofs:
    """Everything, side by side."""

    async def everything() -> Proofs:
        async with house(control_plane, tmp_path_factory.mktemp("operators")) as shared:
            shared.patience = PATIENCE
            return await proved(shared)

    async def proved(shared: House) -> Proofs:
        async with shared.world() as still:
            await quiet.settle(still)
            writes = asyncio.create_task(quiet.writes_in(still, QUIET_SECONDS))
            found = await plans.references(shared, WORKLOADS)
            bugs = [plan for plan, _ in plans.planted_plans() if plan.planted in FOUND_AT_ONCE]
            outcomes, planted, ends, (used, refusals) = await asyncio.gather(
                plans.run_all(shared, sample(found), found, AT_ONCE, patience=PATIENCE),
                asyncio.gather(*(plans.with_and_without(shared, plan, PATIENCE, found) for plan in bugs)),
                lived(shared, range(1, 1 + LIVES), AT_ONCE),
                worked(shared),
            )
            return Proofs(outcomes, planted, ends, await writes, used, refusals)

    began = time.monotonic()
    done = asyncio.run(everything())
    tell(f"fault proxy: {told(done.outcomes)}; {len(done.planted)} planted bugs; {LIVES} generated lives")
    tell(f"quiet: {quiet.EACH * len(quiet.KINDS)} settled runs, {QUIET_SECONDS} s, {len(done.writes)} writes")
    tell(f"all of it in {time.monotonic() - began:.0f} s")
    return done


def sample(found: Mapping[str, Reference]) -> list[Plan]:
    """A few plans of each workload, always the same, and what has once found a bug."""
    wanted = [Plan("fail", Fault("replay", at=11))]  # a stale store had the Job of a finished run deleted
    for workload, count in SAMPLE.items():
        quick = [p for p in plans.all_plans(workload, found[workload]) if p.fault and p.fault.kind not in SLOW]
        wanted += random.Random(workload).sample(quick, count)
    return wanted


async def worked(shared: House) -> tuple[set[Call], list[str]]:
    """The calls of a piece of work that needs all of the Role, and what of it was refused."""
    async with shared.world(fault=rights.CONFLICT) as world:
        await rights.work(world)
        return set(world.proxy.calls), world.proxy.refusals


def test_each_plan_ends_as_without_faults(proofs: Proofs) -> None:
    assert dump(proofs.outcomes) == ""
    assert sum(outcome.met for outcome in proofs.outcomes) >= 0.9 * len(proofs.outcomes)


def test_planted_bugs_are_found(proofs: Proofs) -> None:
    assert [str(bad.plan) for bad, _ in proofs.planted if not bad.trouble] == []
    assert dump([sound for _, sound in proofs.planted]) == ""


def test_each_life_ends_as_a_fresh_run(proofs: Proofs) -> None:
    assert proofs.lives == []


def test_settled_runs_cost_no_write(proofs: Proofs) -> None:
    assert proofs.writes == []


def test_the_role_is_what_the_operator_uses(proofs: Proofs) -> None:
    assert proofs.refusals == []
    allowed = set(rights.rights())
    # Server-side apply makes what is not there yet: the right to create, in a call to patch.
    applied = {
        Call("create", call.resource) for call in proofs.used if call.verb == "patch" and "/" not in call.resource
    }
    asked = {call for call in proofs.used if not call.resource.startswith("/")}
    assert asked - allowed == set()
    # A Job is asked for only where the operator's memory may be old, which a calm hour does not bring about.
    assert allowed - asked - applied <= {Call("get", "jobs")}
