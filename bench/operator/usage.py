"""What processes and the API server have used: CPU seconds, memory, requests. It only reads."""

from __future__ import annotations

import os
import re
from collections import Counter
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
