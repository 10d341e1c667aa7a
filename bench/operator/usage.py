"""What processes and the API server have used: CPU seconds, memory, requests. It only reads."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.operator.rest import Api

TICKS = os.sysconf("SC_CLK_TCK")
WRITES = ("POST", "PUT", "PATCH", "DELETE", "APPLY")
_LINE = re.compile(r"apiserver_request_total\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def cpu(pid: int) -> float:
    """CPU seconds of a process with its threads, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int, what: str = "VmRSS") -> float:
    """Resident memory in MB (10^6 bytes); `what` VmHWM gives its peak."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


@dataclass(frozen=True)
class Spent:
    """CPU seconds and requests by who and what, and the seconds they were spent in."""

    begin: float
    end: float
    cpu: dict[str, float]
    requests: Counter[str]

    def writes(self, resource: str) -> int:
        """Writes to a resource, such as "trainingruns/status"."""
        return sum(self.requests[f"{verb} {resource}"] for verb in WRITES)


@contextlib.asynccontextmanager
async def measured(api: Api, pids: dict[str, int]) -> AsyncIterator[Callable[[], Awaitable[Spent]]]:
    """Gives a function that tells what was spent since the body began; call it when the work is done."""
    asked = await requests(api)
    before = {name: cpu(pid) for name, pid in pids.items()}
    begin = time.monotonic()

    async def spent() -> Spent:
        end = time.monotonic()
        used = {name: cpu(pid) - before[name] for name, pid in pids.items()}
        return Spent(begin, end, used, await requests(api) - asked)

    yield spent


async def requests(api: Api) -> Counter[str]:
    """Requests the API server has answered so far, by verb and resource, such as "PATCH trainingruns/status"."""
    async with api.session.get("/metrics") as answer:
        text = await answer.text()
    found: Counter[str] = Counter()
    for labels, count in _LINE.findall(text):
        label = dict(_LABEL.findall(labels))
        resource = "/".join(filter(None, (label["resource"], label["subresource"])))
        found[f"{label['verb']} {resource}"] += int(float(count))
    return found
