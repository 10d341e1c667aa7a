"""Generated lives of a TrainingRun: created, suspended, resumed, relabelled, deleted, made again, in any order.

Specs come from the CRD's own schema, with values that the table of specs knows to be good; what happens in a run's
pod follows from its seed, so that a fresh run of the same spec meets the same fate.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any

import yaml

from tests.integration import spec_table
from tests.integration.world import ROOT, run_of
from tests.reliability.operator import kubelet
from tests.reliability.operator.api import Object, RefusedError
from tests.reliability.operator.state import difference, one_of
from tests.reliability.operator.world import IMAGE, TroubleError, World

# Shorter limits end a run by the clock, which on a busy machine is another one.
LEAST_SECONDS = {"activeDeadlineSeconds": 3600, "pendingDeadlineSeconds": 3600}
# The Job controller waits twice as long before each retry.
MOST = {"retries": 1}
# No class, node pool or GPU is there, and Kueue is not either: such a run waits, and never ends.
UNUSED = ("priorityClassName", "nodePool", "gpu")
FATES = (kubelet.trains, kubelet.finds_bad_data, kubelet.runs_out_of_memory, kubelet.lacks_its_image)
STEPS = ("suspend", "resume", "relabel", "delete", "recreate", "bad", "wait")


def schema() -> Mapping[str, Any]:
    """The schema of a TrainingRun's spec."""
    crd = yaml.safe_load((ROOT / "crds/trainingruns.mlops.cats-dogs.io.yaml").read_text())
    spec: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def a_spec(chance: random.Random, number: int) -> dict[str, Any]:
    """A spec that the API server takes, with a seed of its own: each field is left out or has some good value."""
    spec = _value(schema(), chance, "")
    assert isinstance(spec, dict)
    spec.setdefault("parameters", {})["seed"] = number
    spec.setdefault("retries", 1)
    spec["suspend"] = False
    if chance.random() < 0.9:  # else there is no such bucket, or an image that is not allowed
        spec.pop("bucket", None)
        spec["image"] = chance.choice([IMAGE, spec_table.IMAGE])
    return spec


def _value(described: Mapping[str, Any], chance: random.Random, field: str) -> Any:
    if described["type"] == "object":
        names = [name for name in described["properties"] if name not in UNUSED and chance.random() < 0.4]
        return {name: _value(described["properties"][name], chance, f"{field}.{name}".strip(".")) for name in names}
    if described["type"] == "boolean":
        return chance.random() < 0.5
    if "enum" in described:
        return chance.choice(described["enum"])
    if described["type"] == "integer":
        least = max(described["minimum"], LEAST_SECONDS.get(field, described["minimum"]))
        most = min(described["maximum"], MOST.get(field, described["maximum"]))
        return chance.choice([least, most, chance.randint(least, most)])
    return chance.choice(spec_table.GOOD[field])


async def fate(played: kubelet.Kubelet, pod: Object) -> None:
    """What happens in a pod, by the seed of its run."""
    env = {variable["name"]: variable.get("value", "") for variable in pod["spec"]["containers"][0]["env"]}
    seed = json.loads(env["CATSDOGS_PARAMETERS"])["seed"]
    await FATES[seed % 7 if seed % 7 < len(FATES) else 0](played, pod)


async def live(world: World, name: str, chance: random.Random, number: int) -> Object:
    """Live through some steps; returns the run as it was last applied, with its spec no longer suspended."""
    body = _body(name, chance, number)
    await _create(world, body)
    for step in chance.choices(STEPS, k=chance.randint(2, 6)):
        number += 1
        if step in ("suspend", "resume"):
            await _change(world, name, {"spec": {"suspend": step == "suspend"}})
        elif step == "relabel":
            body["metadata"]["labels"] = {"sweep": f"s{chance.randint(0, 9)}"}
            await _change(world, name, {"metadata": {"labels": body["metadata"]["labels"]}})
        elif step == "bad":
            await _bad(world, name, chance)
        elif step == "wait":
            await asyncio.sleep(chance.uniform(0, 2))
        else:
            await _delete(world, name)
            if step == "recreate":
                body = _body(name, chance, number)
                await _create(world, body)
    if not world.run(name):
        await _create(world, body := _body(name, chance, number + 1))
    await _change(world, name, {"spec": {"suspend": False}})
    return body


def _body(name: str, chance: random.Random, number: int) -> Object:
    # Numbers of different lives are 10 apart: no key is trained twice.
    return run_of(name, **a_spec(chance, number))


async def _create(world: World, body: Object) -> None:
    await world.api.create(world.namespace, body)
    name = body["metadata"]["name"]
    await world.until("the run is seen", lambda: world.run(name))


async def _delete(world: World, name: str) -> None:
    with suppress(RefusedError):
        await world.delete(name)
    await world.until("the run is gone", lambda: not world.run(name))


async def _change(world: World, name: str, change: Mapping[str, Any]) -> None:
    assert await _status(world.change(name, change)) in (200, 404)  # a step before may have deleted it


async def _bad(world: World, name: str, chance: random.Random) -> None:
    """Somebody applies a spec that is none; the run goes on as if nothing had been."""
    field, value, _ = chance.choice([row for row in spec_table.bad() if row[2] != "unknown field"])
    body = run_of(f"{name}-bad", **spec_table.spec_with(field, value))
    assert await _status(world.api.create(world.namespace, body)) in (400, 422), f"{field} = {value!r} was taken"


async def _status(call: Awaitable[Any]) -> int:
    try:
        await call
    except RefusedError as refused:
        return refused.status
    return 200


def end_of(world: World, name: str) -> dict[str, Any]:
    """How a run and its Job stand, without what follows from its namespace or its history."""
    return one_of(world.namespace, world.seen, name)


async def compared(world: World, fresh: World, name: str, seed: int) -> str:
    """Live, then make a fresh run of the last spec elsewhere; returns where their ends differ, or ""."""
    try:
        body = await live(world, name, random.Random(seed), 10 * seed)
        await _create(fresh, body)
        await world.until(f"the end of {name}", lambda: world.finished(name))
        await fresh.until(f"the end of a fresh {name}", lambda: fresh.finished(name))
        await world.until("the same end", lambda: not difference(end_of(world, name), end_of(fresh, name)))
    except TroubleError as error:
        return "; ".join([f"{name} (seed {seed}): {error}", *difference(end_of(world, name), end_of(fresh, name))])
    return ""


async def remade(world: World, name: str, seed: int) -> str:
    """Delete a run and make it again three times, each while the Job controller makes its pod; returns what went wrong.

    A Job that is made too soon after one of its name gets no pod for five minutes.
    """
    chance = random.Random(seed)
    try:
        await _create(world, run_of(name, parameters={"seed": seed}))
        for again in range(1, 4):
            await world.until(f"the Job of {name}", lambda: name in world.seen.objects["Job"])
            await asyncio.sleep(chance.uniform(0, 0.05))
            await _delete(world, name)
            await _create(world, run_of(name, parameters={"seed": seed + again}))
        await world.until(f"the end of {name}", lambda: world.finished(name))
    except TroubleError as error:
        return f"{name}: {error}"
    return ""
