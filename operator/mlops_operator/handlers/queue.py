"""The work queue: each resource at most once under way, failures tried again with backoff.

It knows keys and one coroutine function; what a pass does is not its business.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mlops_operator import metrics

log = logging.getLogger(__name__)

WORKERS = 24
BACKOFF_FIRST = 1.0
BACKOFF_LAST = 60.0


class Key(NamedTuple):
    """One custom resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


Process = Callable[[Key], Awaitable[float | None]]
"""One pass over a resource: returns the seconds after which another is wanted, or None; raises to be
called again after a backoff."""


class WorkQueue:
    """Keys wait in order of arrival; a key added while its pass is under way gets one more pass after it."""

    def __init__(self, process: Process, workers: int = WORKERS) -> None:
        self._process = process
        self._workers = workers
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._under_way: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        """Ask for a pass as soon as a worker is free."""
        if key in self._under_way:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)
            metrics.QUEUED.set(len(self._waiting))

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass in `seconds`; of several such wishes the earliest holds."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            metrics.QUEUED.set(len(self._waiting))
            self._under_way.add(key)
            try:
                await self._one(key)
            finally:
                self._under_way.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            await asyncio.sleep(0)  # thousands of passes that wait for nothing must not hold up the rest

    async def _one(self, key: Key) -> None:
        started = time.perf_counter()
        try:
            after = await self._process(key)
        except Exception as error:
            after = self._backoff(key)
            metrics.PASSES.labels(key.kind, "error").inc()
            log.warning("%s: pass failed (%s), again in %.0f s", key, _line(error), after)
            log.debug("%s", key, exc_info=error)
        else:
            self._failures.pop(key, None)
            metrics.PASSES.labels(key.kind, "done").inc()
        metrics.PASS_SECONDS.labels(key.kind).observe(time.perf_counter() - started)
        if after is not None:
            self.add_after(key, after)

    def _backoff(self, key: Key) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(failures, 10)))


def _line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
