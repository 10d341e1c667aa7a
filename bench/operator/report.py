"""Turns what was measured into tables: medians with their range over the rounds. It measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.operator.burst import QUIET_SECONDS, Burst
from bench.operator.lives import Lives
from bench.operator.many import Many, Start

T = TypeVar("T")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0 where there are none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def spread(values: Sequence[float], digits: int) -> str:
    """Median and range, such as "3.4 (3.1 to 3.9)"; one value alone."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(title: str, rows: Sequence[tuple[str, Callable[[T], float], int]], found: dict[str, list[T]]) -> None:
    """Print one line a figure, one column a peer."""
    print(f"\n{title}")
    print("".ljust(46) + "".join(name.rjust(26) for name in found))
    for label, value, digits in rows:
        cells = (spread([value(each) for each in rounds], digits) for rounds in found.values())
        print(label.ljust(46) + "".join(cell.rjust(26) for cell in cells), flush=True)


def cpu(who: str) -> Callable[[Burst], float]:
    """CPU milliseconds a run that `who` took in the burst."""
    return lambda found: found.cpu[who] / found.runs * 1000


def show_bursts(found: dict[str, list[Burst]]) -> None:
    runs = next(iter(found.values()))[0].runs
    rows: list[tuple[str, Callable[[Burst], float], int]] = [
        ("seconds until all were created", lambda b: b.created, 2),
        ("seconds until all had Job and status", lambda b: b.served, 2),
        ("runs a second", lambda b: b.runs / b.served, 0),
        ("requests a run", lambda b: sum(b.requests.values()) / b.runs - 1, 2),
        ("CPU ms a run: the peer itself", cpu("peer"), 2),
        ("CPU ms a run: kube-apiserver and etcd", lambda b: cpu("kube-apiserver")(b) + cpu("etcd")(b), 2),
        ("CPU ms a run: object store", cpu("store"), 2),
        ("CPU ms a run: this client", cpu("client"), 2),
        ("event-loop lag p99, ms", lambda b: quantile(b.lags, 0.99) * 1000, 0),
        ("event-loop lag at most, ms", lambda b: quantile(b.lags, 1.0) * 1000, 0),
        ("resident memory, MB", lambda b: b.memory, 0),
        ("seconds from Jobs that end to runs that say so", lambda b: b.done, 1),
        ("status writes a run, from new to done", lambda b: b.status_writes / b.runs, 2),
        (f"writes in {QUIET_SECONDS:.0f} s after that", lambda b: b.quiet_writes, 0),
    ]
    table(f"burst: {runs:,} TrainingRuns created in one go", rows, found)


def show_lives(found: dict[str, list[Lives]]) -> None:
    runs = next(iter(found.values()))[0].runs
    rows: list[tuple[str, Callable[[Lives], float], int]] = [
        ("changes a second", lambda v: (len(v.delays) + v.unseen) / v.seconds, 0),
        ("until the status says so, p50, ms", lambda v: quantile(v.delays, 0.5) * 1000, 0),
        ("until the status says so, p99, ms", lambda v: quantile(v.delays, 0.99) * 1000, 0),
        ("changes that no status ever told", lambda v: v.unseen, 0),
        ("event-loop lag p99, ms", lambda v: quantile(v.lags, 0.99) * 1000, 0),
        ("status writes a run", lambda v: v.status_writes / v.runs, 2),
        ("CPU, % of a core: the peer itself", lambda v: v.cpu["peer"] / v.seconds * 100, 0),
        (
            "CPU, % of a core: kube-apiserver, etcd",
            lambda v: (v.cpu["kube-apiserver"] + v.cpu["etcd"]) / v.seconds * 100,
            0,
        ),
        ("CPU, % of a core: pretended pods", lambda v: v.cpu["pods"] / v.seconds * 100, 0),
        ("peak memory, MB", lambda v: v.memory, 0),
    ]
    table(f"lives: {runs:,} runs go through five stages side by side", rows, found)


def show_many(found: Many) -> None:
    def start(title: str, which: Start) -> None:
        used = " ".join(f"{name} {seconds:.1f}" for name, seconds in which.cpu.items())
        print(f"{title}: {which.seconds:.1f} s until a new run had its Job and status; peak {which.peak:.0f} MB, ")
        print(f"    resident {which.resident:.0f} MB, {which.writes} other writes, CPU seconds {used}")

    print(f"\nmany: {found.runs:,} runs; all had Job and status after {found.served:.0f} s, peak {found.peak:.0f} MB")
    start("started with all of them pending", found.pending)
    start("started with all of them done, Jobs and pods there", found.done)
