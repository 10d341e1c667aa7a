"""The seven workloads that every fault is tried on: what a user or a cluster does to a few runs and a server.

Each ends when all has been decided; how the operator gets there is not its matter.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from tests.reliability.operator import servers
from tests.reliability.operator.api import Object
from tests.reliability.operator.kubelet import (
    Kubelet,
    Life,
    completes,
    finds_bad_data,
    holds,
    is_preempted,
    lacks_its_image,
    runs_out_of_memory,
    trains,
)
from tests.reliability.operator.world import IMAGE, NEW_IMAGE, World


async def create(world: World) -> None:
    """A run from its creation to its model, until its Job has gone in time."""
    await world.create("run", ttlSecondsAfterFinished=0)
    await world.until("the end", lambda: world.finished("run") and not world.seen.objects["Job"])


async def fail(world: World) -> None:
    """Three runs that fail: a user's mistake, too little memory twice, and no image."""
    world.kubelet.scripts = {
        "no-image": [lacks_its_image],
        "bad-data": [finds_bad_data],
        "hungry": [runs_out_of_memory, runs_out_of_memory],
    }
    names = tuple(world.kubelet.scripts)
    for seed, name in enumerate(names):
        await world.create(name, parameters={"seed": seed}, retries=1)
    await world.until("the ends", lambda: all(world.finished(name) for name in names))


async def suspend_and_resume(world: World) -> None:
    """A run that is suspended while it trains, and resumed."""
    world.kubelet.scripts["run"] = [holds, trains]
    await world.create("run")
    await world.until("the training", lambda: world.reason("run") == "Training")
    await world.change("run", {"spec": {"suspend": True}})
    await world.until("no pod", lambda: world.reason("run") == "Suspended" and not world.seen.objects["Pod"])
    await world.change("run", {"spec": {"suspend": False}})
    await world.until("the end", lambda: world.finished("run"))


async def preempt(world: World) -> None:
    """A run whose pod has to make room and is made again."""
    world.kubelet.scripts["run"] = [is_preempted, trains]
    await world.create("run")
    await world.until("the end", lambda: world.finished("run"))


async def delete_half_way(world: World) -> None:
    """A run that is deleted while it trains, and one of the same name that ends well."""
    world.kubelet.scripts["run"] = [holds, trains]
    await world.create("run")
    await world.until("the training", lambda: world.reason("run") == "Training")
    await world.delete("run")
    await world.until("nothing is left", lambda: not world.seen.objects["Job"] and not world.seen.objects["Pod"])
    await world.create("run")
    await world.until("the end", lambda: world.finished("run"))


async def upgrade(world: World) -> None:
    """A run that trains while the operator is replaced by one with other settings, and one made after that."""
    world.kubelet.scripts["before"] = [_until_upgraded(world)]
    await world.create("before")
    await world.until("the training", lambda: world.reason("before") == "Training")
    await world.upgrade({"TRAINER_IMAGE": NEW_IMAGE, "POD_ENV": json.dumps({"NEW": "1"})})
    await world.create("after", parameters={"seed": 2})
    await world.until("the ends", lambda: world.finished("before") and world.finished("after"))


def _until_upgraded(world: World) -> Life:
    async def life(kubelet: Kubelet, pod: Object) -> None:
        await kubelet.train(pod)
        await world.upgraded.wait()
        await completes(kubelet, pod)

    return life


async def rollout(world: World) -> None:
    """A ModelServer that serves the model of one run takes that of the next, and refuses that of a worse one."""
    world.kubelet.apps = servers.LIVES
    servers.publish(world.buckets, world.namespace, IMAGE)
    await world.api.create(world.namespace, servers.body("server", servers.LABELS))
    await _decided(world, "run-a", "run-a", "Served")
    await _decided(world, "run-b", "run-b", "Served")
    await _decided(world, "run-c", "run-b", "WorseThanServing")
    await world.until("all is written down", lambda: world.server("server")["status"].get("ledger") == {"through": 3})


async def _decided(world: World, run: str, serves: str, reason: str) -> None:
    """A run succeeds; wait until that is decided and the model of `serves` answers."""
    await world.create(run, servers.LABELS, parameters={"seed": servers.seed_of(run)})
    wanted = (run, servers.MODELS[serves], reason)
    await world.until(f"what becomes of {run}", lambda: servers.stands(world.server("server")) == wanted)


WORKLOADS: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "create": create,
    "fail": fail,
    "suspend and resume": suspend_and_resume,
    "preempt": preempt,
    "delete half-way": delete_half_way,
    "upgrade": upgrade,
    "rollout": rollout,
}
