"""`catsdogs compare A B`: two runs side by side, each a workspace folder or a version in a bucket.
It must not decide which one is better: it shows intervals, and says when they overlap."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from catsdogs.commands.table import table
from catsdogs.errors import Exit
from catsdogs.pipeline import history
from catsdogs.pipeline.history import Run

BLOCKS = "▁▂▃▄▅▆▇█"
CURVES = ("valAccuracy", "valLoss", "trainLoss")
POINTS = 24  # a sparkline's width
HEADLINE = "testAccuracy"
HASH = 12


def compare(options: argparse.Namespace) -> int:
    """Print the comparison."""
    one, other = (history.load(name, options.bucket) for name in options.versions)
    print(comparison(one, other))
    return Exit.OK


def comparison(one: Run, other: Run) -> str:
    """Metrics, training, parameters, data and lineage, and curves of two runs as text."""
    sections = [
        ("metrics", _numbers(one.metrics, other.metrics)),
        ("training", _numbers(one.training, other.training)),
        ("parameters", _differences(one.parameters, other.parameters)),
        ("lineage", _differences(one.lineage, other.lineage)),
        ("curves", _curves(one.curves, other.curves)),
    ]
    rows = [["", one.name, other.name, "difference"]]
    for title, found in sections:
        rows += [["", "", "", ""], [title, "", "", ""], *([f"  {row[0]}", *row[1:]] for row in found)]
    return f"{table(rows)}\n\n{verdict(one.metrics, other.metrics)}"


def _numbers(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[list[str]]:
    """A row for each plain value of either; a metric's interval stands behind it, not in rows of its own."""
    names = [name for name in {HEADLINE: 0, **one, **other} if _plain(one.get(name, other.get(name)))]
    bounds = {f"{name}{end}" for name in names for end in ("Low", "High")}
    return [
        [name, _with_interval(one, name), _with_interval(other, name), _difference(one.get(name), other.get(name))]
        for name in names
        if name not in bounds
    ]


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return "-"
    low, high = metrics.get(f"{name}Low"), metrics.get(f"{name}High")
    return str(metrics[name]) + (f" ({low} to {high})" if low is not None and high is not None else "")


def _difference(one: Any, other: Any) -> str:
    if not isinstance(one, int | float) or not isinstance(other, int | float):
        return "" if one == other else "differs"
    return f"{round(other - one, 4):+g}" if other != one else "="


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[list[str]]:
    """A row for each value that differs, or one that says that none does. Hashes are cut."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    if not names:
        return [["all equal", "", "", "="]]
    return [
        [name, _short(one.get(name)), _short(other.get(name)), _difference(one.get(name), other.get(name))]
        for name in names
    ]


def _short(value: Any) -> str:
    text = "-" if value in (None, "") else str(value).rpartition("sha256:")[2]
    return text[:HASH] if len(text) >= 40 and " " not in text else text[:40]


def _curves(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A sparkline of each curve, both runs on one scale, with the first and the last value."""
    rows = []
    for name in CURVES:
        series = [[float(epoch[name]) for epoch in curve if name in epoch] for curve in (one, other)]
        if values := [*series[0], *series[1]]:
            low, high = min(values), max(values)
            rows.append([name, *(_drawn(points, low, high) for points in series), ""])
    return rows or [["not kept", "-", "-", ""]]


def _drawn(points: Sequence[float], low: float, high: float) -> str:
    if not points:
        return "-"
    return f"{sparkline(points, low, high)} {points[0]:.3f} to {points[-1]:.3f}"


def sparkline(points: Sequence[float], low: float, high: float) -> str:
    """Points as blocks of eight heights on the scale `low` to `high`; more than POINTS are thinned evenly."""
    count = min(POINTS, len(points))
    chosen = [points[round(i * (len(points) - 1) / max(1, count - 1))] for i in range(count)]
    scale = (len(BLOCKS) - 1) / ((high - low) or 1.0)
    return "".join(BLOCKS[round((value - low) * scale)] for value in chosen)


def verdict(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What the accuracies on the test split allow to say; 95 % intervals that touch allow nothing."""
    bounds = [metrics.get(f"{HEADLINE}{end}") for metrics in (one, other) for end in ("Low", "High")]
    if any(not isinstance(bound, int | float) for bound in bounds):
        return "No intervals are kept, so nothing can be said about the difference."
    low, high, other_low, other_high = (float(bound) for bound in bounds if bound is not None)
    if other_low > high:
        return "The second is better on its test split: the 95 % intervals do not touch."
    if low > other_high:
        return "The first is better on its test split: the 95 % intervals do not touch."
    return "The 95 % intervals of the accuracy overlap: the difference may be chance."
