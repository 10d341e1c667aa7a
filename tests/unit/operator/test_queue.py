"""The work queue: one pass at a time per resource, none lost, failures tried again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from mlops_operator.handlers import queue as module
from mlops_operator.handlers.queue import Key, WorkQueue

A, B = Key("TrainingRun", "team", "a"), Key("TrainingRun", "team", "b")
Process = Callable[[Key], Awaitable[float | None]]


@asynccontextmanager
async def working(process: Process) -> AsyncIterator[WorkQueue]:
    """A queue at work, stopped at the end."""
    queue = WorkQueue(process)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_passes_of_one_key_never_overlap_and_none_is_lost() -> None:
    under_way, passes, most = 0, 0, 0
    began, gate, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def process(_: Key) -> None:
        nonlocal under_way, passes, most
        under_way, passes = under_way + 1, passes + 1
        most = max(most, under_way)
        began.set()
        await gate.wait()
        under_way -= 1
        if passes == 2:
            ended.set()

    async with asyncio.timeout(10), working(process) as queue:
        queue.add(A)
        queue.add(A)
        await began.wait()
        queue.add(A)
        queue.add(A)
        gate.set()
        await ended.wait()
        queue.add(B)
        await asyncio.sleep(0.01)
    assert (passes, most) == (3, 1)


async def test_different_keys_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def process(_: Key) -> None:
        await both.wait()
        done.set()

    done = asyncio.Event()
    async with asyncio.timeout(10), working(process) as queue:
        queue.add(A)
        queue.add(B)
        await done.wait()
    assert done.is_set()


async def test_a_failed_pass_is_tried_again_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.001)
    monkeypatch.setattr(module, "BACKOFF_LAST", 0.004)
    pauses: list[float] = []
    calls = 0
    done = asyncio.Event()

    async def process(_: Key) -> None:
        nonlocal calls
        calls += 1
        if calls < 6:
            raise RuntimeError("not yet")
        done.set()

    class Recording(WorkQueue):
        def add_after(self, key: Key, seconds: float) -> None:
            pauses.append(seconds)
            super().add_after(key, seconds)

    queue = Recording(process)
    task = asyncio.create_task(queue.run())
    async with asyncio.timeout(10):
        queue.add(A)
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_the_earliest_wish_for_another_pass_holds() -> None:
    done = asyncio.Event()

    async def process(_: Key) -> None:
        done.set()

    async with asyncio.timeout(10), working(process) as queue:
        queue.add_after(A, 3600)
        queue.add_after(A, 0.01)
        queue.add_after(A, 1800)
        await done.wait()
    assert done.is_set()


async def test_a_pass_that_asks_for_another_gets_it() -> None:
    calls = 0
    done = asyncio.Event()

    async def process(_: Key) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 3:
            done.set()
            return None
        return 0.001

    async with asyncio.timeout(10), working(process) as queue:
        queue.add(A)
        await done.wait()
    assert calls == 3


async def test_passes_that_wait_for_nothing_let_others_have_their_turn() -> None:
    passes = 0
    done = asyncio.Event()

    async def process(_: Key) -> None:
        nonlocal passes
        passes += 1
        if passes == 1000:
            done.set()

    async with asyncio.timeout(10), working(process) as queue:
        for number in range(1000):
            queue.add(Key("TrainingRun", "team", str(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        meanwhile = passes
        await done.wait()
    assert meanwhile < 100
