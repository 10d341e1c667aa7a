"""Lives: many runs whose pods go through the five stages at the same time, with progress to be polled. It measures how
long after a pod has changed the TrainingRun says so, and what following them costs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from bench.operator import lag, pods, usage
from bench.operator.peers import Peer
from bench.operator.rest import TRAINING_RUNS, Api, each, run
from bench.operator.watching import watched
from bench.operator.world import World

PATIENCE = 600.0


@dataclass(frozen=True)
class Lives:
    """Seconds from first to last change, seconds from each change to the status that tells it, changes that none told
    (the next came before), lags in seconds, CPU seconds by process, peak MB, status writes."""

    runs: int
    seconds: float
    delays: list[float]
    unseen: int
    lags: list[float]
    cpu: dict[str, float]
    memory: float
    status_writes: int


async def lives(world: World, admin: Api, peer: Peer, count: int, stage: float) -> Lives:
    """Let `count` runs live, each stage `stage` seconds long, begun within twice that time."""
    path = TRAINING_RUNS.format(peer.namespace)
    async with watched(admin, peer.namespace) as seen:
        await each(range(count), lambda number: admin.call("POST", path, run(number)))
        await seen.recorded(count, PATIENCE)
        with pods.played(world, peer.namespace, "stages", stage, 2 * stage) as player:
            pids = {**world.pids, "peer": peer.pid, "pods": player.process.pid}
            async with usage.measured(admin, pids) as spent:
                await seen.completed(count + 1, PATIENCE)
                await asyncio.sleep(1.0)
                used = await spent()
        told = [tuple(json.loads(line)) for line in player.log.read_text().splitlines()]
    memory = usage.memory(peer.pid, "VmHWM")
    lags = lag.read(peer.stop(), used.begin, used.end)
    firsts = seen.firsts()
    delays = [firsts[name, why] - when for name, why, when in told if (name, why) in firsts]
    writes, unseen = used.writes("trainingruns/status"), len(told) - len(delays)
    return Lives(count, used.end - used.begin, delays, unseen, lags, used.cpu, memory, writes)
