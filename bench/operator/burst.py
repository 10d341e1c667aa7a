"""The burst: many TrainingRuns created in one go, until each has a Job and a status; no pod is made meanwhile. Then
all Jobs are done at once, until each run says so. It measures whoever serves the namespace."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass

from bench.operator import lag, pods, usage
from bench.operator.peers import Peer
from bench.operator.rest import JOBS, TRAINING_RUNS, Api, each, run
from bench.operator.watching import watched
from bench.operator.world import World

PATIENCE = 600.0
QUIET_SECONDS = 15.0


@dataclass(frozen=True)
class Burst:
    """Seconds until all runs were created, served (Job and status) and done; CPU seconds by process, resident MB and
    lags in seconds until they were served; requests until then; status writes until they were done, and all writes
    in QUIET_SECONDS after that."""

    runs: int
    created: float
    served: float
    cpu: dict[str, float]
    memory: float
    lags: list[float]
    requests: Counter[str]
    done: float = 0.0
    status_writes: int = 0
    quiet_writes: int = 0


async def burst(world: World, admin: Api, peer: Peer, count: int) -> Burst:
    """Create `count` runs in the peer's namespace; for a peer that follows its Jobs, let them all be done."""
    pids = {**world.pids, "peer": peer.pid, "client": os.getpid()}
    path = TRAINING_RUNS.format(peer.namespace)
    done, status_writes, quiet_writes = 0.0, 0, 0
    async with watched(admin, peer.namespace) as seen, usage.measured(admin, pids) as spent:
        begin = time.monotonic()
        await each(range(count), lambda number: admin.call("POST", path, run(number)))
        created = time.monotonic()
        await seen.recorded(count, PATIENCE)
        served = await spent()
        memory = usage.memory(peer.pid)
        made, _ = await admin.list(JOBS.format(peer.namespace))
        if len(made) != count + 1:
            raise SystemExit(f"{len(made) - 1} Jobs for {count} runs")
        if peer.follows:
            jumped = time.monotonic()
            with pods.played(world, peer.namespace, "jump"):
                await seen.completed(count + 1, PATIENCE)
                done = time.monotonic() - jumped
                await asyncio.sleep(2.0)
                status_writes = (await spent()).writes("trainingruns/status")
            async with usage.measured(admin, {}) as quiet:
                await asyncio.sleep(QUIET_SECONDS)
                still = await quiet()
                quiet_writes = still.writes("trainingruns/status") + still.writes("jobs")
    lags = lag.read(peer.stop(), begin, served.end)
    times = created - begin, served.end - begin
    return Burst(count, *times, served.cpu, memory, lags, served.requests, done, status_writes, quiet_writes)
