"""The plots of the stages, one function each, all in one style.
It must not compute results: it draws what it is given and writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"cat": "#d97706", "dog": "#2563eb", "train": "#2563eb", "val": "#d97706", "other": "#6b7280"}


def figure(width: float = 6.0, height: float = 3.4) -> tuple[Any, Any]:
    """A figure of this size in inches and its axes, open at the top and on the right."""
    drawn, axes = plt.subplots(figsize=(width, height), dpi=110, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def legend(drawn: Any) -> Any:
    """The legend of a figure, outside, where it hides nothing."""
    return drawn.legend(loc="outside upper right", ncols=2, frameon=False)


def write(drawn: Any, file: Path) -> None:
    """Write the figure as a PNG: no software name and no date, so that the same numbers give the same file."""
    drawn.savefig(file, metadata={"Software": None})
    plt.close(drawn)


def counts(file: Path, splits: Mapping[str, Mapping[str, int]]) -> None:
    """Photographs per split and class: `splits` is {"train": {"cat": 700, ...}, ...}."""
    drawn, axes = figure()
    for offset, label in ((-0.2, "cat"), (0.2, "dog")):
        places = [index + offset for index in range(len(splits))]
        values = [content[label] for content in splits.values()]
        axes.bar_label(axes.bar(places, values, 0.36, color=COLOURS[label], label=label))
    axes.set_xticks(range(len(splits)), list(splits))
    axes.set_ylabel("photographs")
    legend(drawn)
    write(drawn, file)


def histogram(file: Path, values: Mapping[str, Sequence[float]], unit: str) -> None:
    """One outline per class over `values` (label to numbers, at least one in all)."""
    drawn, axes = figure()
    joined = [value for numbers in values.values() for value in numbers]
    limits = (min(joined), max(joined) if max(joined) > min(joined) else min(joined) + 1)
    bins = max(10, min(40, int(len(joined) ** 0.5)))
    for label, numbers in values.items():
        fill = (*mpl.colors.to_rgb(COLOURS[label]), 0.12)
        edge = COLOURS[label]
        axes.hist(numbers, bins, range=limits, histtype="stepfilled", linewidth=1.6, fc=fill, ec=edge, label=label)
    axes.set_xlabel(unit)
    axes.set_ylabel("photographs")
    axes.yaxis.get_major_locator().set_params(integer=True)
    legend(drawn)
    write(drawn, file)


def scatter(file: Path, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Width against height of every photograph, in pixels."""
    drawn, axes = figure()
    for label, pairs in points.items():
        axes.scatter(*zip(*pairs, strict=True), s=9, alpha=0.45, linewidths=0, color=COLOURS[label], label=label)
    axes.set_xlabel("width, px")
    axes.set_ylabel("height, px")
    for mark in legend(drawn).legend_handles:
        mark.set(alpha=1, sizes=[36])
    write(drawn, file)


def contact_sheet(file: Path, pictures: Sequence[Any], columns: int = 12, side: int = 88, gap: int = 4) -> None:
    """Pictures, uint8 (S, S, 3), in rows of `columns`, each `side` pixels wide; at least one."""
    from PIL import Image

    rows = -(-len(pictures) // columns)
    step = side + gap
    sheet = Image.new("RGB", (min(len(pictures), columns) * step - gap, rows * step - gap), "white")
    for index, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(small, (index % columns * step, index // columns * step))
    sheet.save(file, optimize=True)
