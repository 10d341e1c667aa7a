"""Sees each change of the TrainingRuns of a namespace, with the time it was seen. It parses only afterwards, so that
watching costs little while others are measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bench.operator.rest import TRAINING_RUNS, Api, reason

_NAME = re.compile(rb'"name":"([^"]+)"')


@dataclass
class Seen:
    """What was seen: monotonic time and line of each change."""

    lines: list[tuple[float, bytes]] = field(default_factory=list)

    async def recorded(self, count: int, patience: float) -> None:
        """Wait until `count` runs have a status that names their Job."""
        await self._until(b'"jobUID":"', count, patience)

    async def completed(self, count: int, patience: float) -> None:
        """Wait until `count` runs have ended well."""
        await self._until(b'"reason":"Completed"', count, patience)

    async def _until(self, part: bytes, count: int, patience: float) -> None:
        until, read = time.monotonic() + patience, 0
        names: set[bytes] = set()
        while len(names) < count:
            fresh, read = self.lines[read:], len(self.lines)
            names |= {found[1] for _, line in fresh if part in line and (found := _NAME.search(line))}
            if time.monotonic() > until:
                raise SystemExit(f"only {len(names)} of {count} runs have {part.decode()} after {patience:.0f} s")
            await asyncio.sleep(0.005)

    def firsts(self) -> dict[tuple[str, str], float]:
        """When each run (by name) was first seen with each reason."""
        found: dict[tuple[str, str], float] = {}
        for when, line in self.lines:
            run: dict[str, Any] = json.loads(line)["object"]
            if why := reason(run):
                found.setdefault((run["metadata"]["name"], why), when)
        return found


@contextlib.asynccontextmanager
async def watched(api: Api, namespace: str) -> AsyncIterator[Seen]:
    """Watch while the body runs."""
    seen = Seen()
    path = TRAINING_RUNS.format(namespace)
    _, version = await api.list(path)

    async def watch() -> None:
        async for line in api.watch(path, version):
            seen.lines.append((time.monotonic(), line))

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
