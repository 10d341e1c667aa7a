"""50 runs of every kind that have come to rest, and the count of what the operator still writes.

It makes the runs and counts at the proxy; how long is the caller's matter.
"""

from __future__ import annotations

import asyncio

from tests.reliability.operator import kubelet
from tests.reliability.operator.world import World

# Kind of a run: how its pods live, its spec, and the reason that it comes to rest with.
KINDS: dict[str, tuple[kubelet.Life | None, dict[str, object], str]] = {
    "completed": (kubelet.trains, {}, "Completed"),
    "bad-data": (kubelet.finds_bad_data, {}, "DataError"),
    "no-image": (kubelet.lacks_its_image, {}, "ImagePull"),
    "no-bucket": (None, {"bucket": "nowhere"}, "BucketNotFound"),
    "training": (kubelet.holds, {"activeDeadlineSeconds": 604800}, "Training"),
    "no-room": (None, {"pendingDeadlineSeconds": 86400, "activeDeadlineSeconds": 604800}, "Pending"),
    "suspended": (None, {"suspend": True}, "Suspended"),
    "not-allowed": (None, {"image": "elsewhere.example/x@sha256:" + "0" * 64}, "ImageNotAllowed"),
    "hungry": (kubelet.runs_out_of_memory, {"retries": 0}, "OOMKilled"),
    "kept-job": (kubelet.trains, {"ttlSecondsAfterFinished": 31536000}, "Completed"),
}
EACH = 5
SILENCE = 8.0


async def settle(world: World) -> None:
    """Make the runs and wait until all have come to rest and nothing was written for some seconds."""
    names = {}
    for seed, (kind, (life, spec, reason)) in enumerate(KINDS.items()):
        for number in range(EACH):
            name = f"{kind}-{number}"
            names[name] = reason
            world.kubelet.scripts[name] = [life or kubelet.waits]
            await world.create(name, parameters={"seed": EACH * seed + number}, **spec)
    await world.until("all have settled", lambda: all(world.reason(name) == r for name, r in names.items()))
    writes = -1
    while writes != world.proxy.writes:
        writes = world.proxy.writes
        await asyncio.sleep(SILENCE)


async def writes_in(world: World, seconds: float) -> list[str]:
    """What the operator writes in so many seconds."""
    before = len(world.proxy.calls)
    await asyncio.sleep(seconds)
    return [str(call) for call in world.proxy.calls[before:] if call.writes]
