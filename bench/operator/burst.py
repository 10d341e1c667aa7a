"""The burst: many TrainingRuns created in one go, until each has a Job and a status. No pod is made meanwhile.
It measures whoever serves the namespace and does not know who that is."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

from bench.operator import lag, usage
from bench.operator.peers import Peer
from bench.operator.rest import JOBS, TRAINING_RUNS, Api, each, run
from bench.operator.watching import watched
from bench.operator.world import World

PATIENCE = 300.0


@dataclass(frozen=True)
class Burst:
    """What one burst took: seconds, CPU seconds, memory in MB, the event loop's lag in seconds."""

    created: float
    served: float
    cpu: dict[str, float]
    memory: float
    lags: list[float]
    requests: dict[str, float]


async def burst(world: World, admin: Api, peer: Peer, count: int) -> Burst:
    """Create `count` runs in the peer's namespace and wait for the last one's Job and status."""
    pids = {**world.pids, "operator": peer.pid, "client": os.getpid()}
    path = TRAINING_RUNS.format(peer.namespace)
    async with watched(admin, peer.namespace) as seen:
        requests = await usage.requests(admin)
        before = {name: usage.cpu(pid) for name, pid in pids.items()}
        begin = time.monotonic()
        await each(range(count), lambda number: admin.call("POST", path, run(number)))
        created = time.monotonic()
        await seen.recorded(count, PATIENCE)
        end = time.monotonic()
        after = {name: usage.cpu(pid) for name, pid in pids.items()}
        memory = usage.memory(peer.pid)
        await asyncio.sleep(1.0)  # what the peer still does of its own accord counts as its requests
        changed = await usage.requests(admin) - requests
    jobs, _ = await admin.list(JOBS.format(peer.namespace))
    if len(jobs) != count + 1:
        raise SystemExit(f"{len(jobs) - 1} Jobs for {count} runs")
    lags = lag.read(peer.stop(), begin, end)
    per_run = {name: value / count for name, value in sorted(changed.items()) if value >= count / 10}
    cpu = {name: after[name] - before[name] for name in pids}
    return Burst(created - begin, end - begin, cpu, memory, lags, per_run)
