"""Finds LitServe's best workers, batch, timeout and queue for this machine, model and pictures, by short trials.
It must not be told what is best beforehand."""

from __future__ import annotations

from pathlib import Path

from bench.serving import contenders, measure
from bench.serving.measure import Setting

NAMES = ("WORKERS", "BATCH", "BATCH_SECONDS", "FAST_QUEUE")
GRID = [
    dict(zip(NAMES, (workers, batch, seconds, queue), strict=True))
    for workers in ("1", "2")
    for batch, seconds in (("1", "0"), ("4", "0.001"), ("8", "0.005"))
    for queue in ("0", "1")
]


def best(python: Path, setting: Setting, seconds: float = 1.5) -> dict[str, str]:
    """The settings with the highest rate at eight clients."""
    rates = [_rate(python, setting, values, seconds) for values in GRID]
    return GRID[rates.index(max(rates))]


def _rate(python: Path, setting: Setting, values: dict[str, str], seconds: float) -> float:
    server = contenders.peer(python, "litserve_tuned", setting.model, **values, **contenders.SERVER)
    try:
        done = measure.load(setting, server, clients=measure.CLIENTS, seconds=seconds, warm_up=1)
    finally:
        server.stop()
    return len(done["took"]) / seconds
