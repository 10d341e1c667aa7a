"""How late an event loop is: sleeps 10 ms again and again and notes by how much it woke too late.
It runs inside the process that is measured and costs it under 1 % of a core."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

STEP = 0.010
LAGS = "BENCH_LAGS"


@contextlib.asynccontextmanager
async def sampled() -> AsyncIterator[None]:
    """Sample while the body runs; at its end write pairs of monotonic time and lag (seconds) to file $BENCH_LAGS."""
    samples = array("d")

    async def sample() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(STEP)
            now = time.monotonic()
            samples.extend((now, now - before - STEP))

    task = asyncio.create_task(sample())
    try:
        yield
    finally:
        task.cancel()
        if LAGS in os.environ:
            write(Path(os.environ[LAGS]), samples)


def write(file: Path, samples: array[float]) -> None:
    file.write_bytes(samples.tobytes())


def read(file: Path, begin: float, end: float) -> list[float]:
    """The lags noted between two monotonic times, in seconds."""
    samples = array("d", file.read_bytes())
    return [lag for when, lag in zip(samples[::2], samples[1::2], strict=True) if begin <= when <= end]
