"""Who is measured: the operator, the idiomatic Kopf operator, the floor; each started as a process of its own.
It measures nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.operator.rest import TRAINING_RUNS, Api, run
from bench.operator.watching import watched
from bench.operator.world import Process, World

MODULES = {"operator": "bench.operator.ours", "kopf": "bench.operator.idiomatic", "floor": "bench.operator.floor"}
READY_SECONDS = 60.0


@dataclass
class Peer:
    """A peer at work in its namespace."""

    name: str
    namespace: str
    process: Process
    env: dict[str, str]

    @property
    def follows(self) -> bool:
        """Whether it follows its Jobs to their end: the floor only makes them."""
        return self.name != "floor"

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> Path:
        """End it; gives the file with its event loop's lags."""
        self.process.stop()
        return Path(self.env["BENCH_LAGS"])


def start(world: World, name: str, namespace: str) -> Peer:
    """Start a peer in a namespace that is there already."""
    # Kopf writes finalizers and annotations, which the operator's Role does not allow.
    user = world.kubeconfig if name == "kopf" else world.operator
    env = world.operator_env(user, namespace, world.folder / f"{namespace}-{time.monotonic_ns()}.lags")
    return Peer(name, namespace, world.start(f"{name}-{namespace}", MODULES[name], env=env), env)


async def ready(admin: Api, peer: Peer) -> float:
    """Create one run and wait until it has its Job and status; returns the seconds that took."""
    begin = time.monotonic()
    async with watched(admin, peer.namespace) as seen:
        await admin.call("POST", TRAINING_RUNS.format(peer.namespace), run(time.monotonic_ns() % 10**9, "probe"))
        await seen.recorded(1, READY_SECONDS)
    return time.monotonic() - begin
