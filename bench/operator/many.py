"""Many: the operator with ten thousand runs at once, what memory that takes, and how long it needs to start again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.operator import peers, pods, usage
from bench.operator.peers import Peer
from bench.operator.rest import TRAINING_RUNS, Api, each, run
from bench.operator.watching import watched
from bench.operator.world import World

PATIENCE = 1200.0
SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Start:
    """One start of the operator: seconds until a run made at that moment has its Job and status, peak and resident MB,
    CPU seconds by process, writes to runs and Jobs that were there before, lags in seconds."""

    seconds: float
    peak: float
    resident: float
    cpu: dict[str, float]
    writes: int
    lags: list[float]


@dataclass(frozen=True)
class Many:
    """Seconds until all runs had Job and status, peak MB then; a start with all of them pending, and one with all of
    them done, their Jobs and pods still there."""

    runs: int
    served: float
    peak: float
    pending: Start
    done: Start


async def many(world: World, admin: Api, peer: Peer, count: int) -> Many:
    """Serve `count` runs, start anew, let all Jobs be done, start anew."""
    path = TRAINING_RUNS.format(peer.namespace)
    async with watched(admin, peer.namespace) as seen:
        begin = time.monotonic()
        await each(range(count), lambda number: admin.call("POST", path, run(number)))
        await seen.recorded(count, PATIENCE)
        served, peak = time.monotonic() - begin, usage.memory(peer.pid, "VmHWM")
        peer.stop()
        peer, pending = await started(world, admin, peer)
        with pods.played(world, peer.namespace, "jump"):
            await seen.completed(count, PATIENCE)
        peer.stop()
    peer, done = await started(world, admin, peer)
    peer.stop()
    return Many(count, served, peak, pending, done)


async def started(world: World, admin: Api, before: Peer) -> tuple[Peer, Start]:
    """Start the operator once more, in the namespace it was stopped in."""
    async with usage.measured(admin, world.pids) as spent:
        begin = time.monotonic()
        peer = peers.start(world, before.name, before.namespace)
        await peers.ready(admin, peer)
        seconds = time.monotonic() - begin
        await asyncio.sleep(SETTLE_SECONDS)
        used = await spent()
        cpu = {**used.cpu, "peer": usage.cpu(peer.pid)}
    writes = used.writes("trainingruns/status") + used.writes("jobs") - 2
    peak, resident = (usage.memory(peer.pid, what) for what in ("VmHWM", "VmRSS"))
    lags: list[float] = []
    return peer, Start(seconds, peak, resident, cpu, writes, lags)
