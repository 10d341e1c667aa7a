"""The pictures of the EDA report: plots in the style of plots.py, and sheets of photographs.
It must not compute results: it draws what it is given and writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from catsdogs.pipeline import plots


def counts(file: Path, splits: Mapping[str, Mapping[str, int]]) -> None:
    """Photographs per split and class: `splits` is {"train": {"cat": 700, ...}, ...}."""
    drawn, axes = plots.figure()
    for offset, label in ((-0.2, "cat"), (0.2, "dog")):
        places = [index + offset for index in range(len(splits))]
        values = [content[label] for content in splits.values()]
        axes.bar_label(axes.bar(places, values, 0.36, color=plots.COLOURS[label], label=label))
    axes.set_xticks(range(len(splits)), list(splits))
    axes.set_ylabel("photographs")
    plots.legend(drawn)
    plots.write(drawn, file)


def histogram(file: Path, values: Mapping[str, Sequence[float]], unit: str) -> None:
    """One outline per class over `values` (label to numbers, at least one in all)."""
    drawn, axes = plots.figure()
    joined = [value for numbers in values.values() for value in numbers]
    limits = (min(joined), max(joined) if max(joined) > min(joined) else min(joined) + 1)
    bins = max(10, min(40, int(len(joined) ** 0.5)))
    for label, numbers in values.items():
        fill = (*mpl.colors.to_rgb(plots.COLOURS[label]), 0.12)
        edge = plots.COLOURS[label]
        axes.hist(numbers, bins, range=limits, histtype="stepfilled", linewidth=1.6, fc=fill, ec=edge, label=label)
    axes.set_xlabel(unit)
    axes.set_ylabel("photographs")
    axes.yaxis.get_major_locator().set_params(integer=True)
    plots.legend(drawn)
    plots.write(drawn, file)


def scatter(file: Path, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Width against height of every photograph, in pixels."""
    drawn, axes = plots.figure()
    for label, pairs in points.items():
        axes.scatter(*zip(*pairs, strict=True), s=9, alpha=0.45, linewidths=0, color=plots.COLOURS[label], label=label)
    axes.set_xlabel("width, px")
    axes.set_ylabel("height, px")
    for mark in plots.legend(drawn).legend_handles:
        mark.set(alpha=1, sizes=[36])
    plots.write(drawn, file)


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


def pair_sheet(file: Path, pairs: Sequence[tuple[Any, Any]], columns: int = 6, side: int = 88, gap: int = 4) -> None:
    """Pairs of pictures, uint8 (S, S, 3), the two of a pair touching; at least one pair."""
    from PIL import Image

    rows, step = -(-len(pairs) // columns), 2 * side + 4 * gap
    width = min(len(pairs), columns) * step - 4 * gap
    sheet = Image.new("RGB", (width, rows * (side + 3 * gap) - 3 * gap), "white")
    for index, pair in enumerate(pairs):
        for half, picture in enumerate(pair):
            small = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(small, (index % columns * step + half * side, index // columns * (side + 3 * gap)))
    sheet.save(file, optimize=True)


def drift(file: Path, quantiles: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
    """Of each measure the share of photographs below a value, before (gray) and now; from quantiles at equal steps."""
    columns = 4
    rows = -(-len(quantiles) // columns)
    drawn, axes = plt.subplots(
        rows, columns, figsize=(12, 2.3 * rows), dpi=110, layout="constrained", squeeze=False, sharey=True
    )
    for axis, (name, (before, now)) in zip(axes.flat, quantiles.items(), strict=False):
        levels = [index / (len(now) - 1) for index in range(len(now))]
        axis.plot(before, levels, color=plots.COLOURS["other"], linewidth=1.4, label="before")
        axis.plot(now, levels, color=plots.COLOURS["dog"], linewidth=1.6, label="now")
        axis.set_title(name, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(min(before[2], now[2]), max(before[-3], now[-3]))
    for axis in list(axes.flat)[len(quantiles) :]:
        axis.set_axis_off()
    axes[0][0].legend(frameon=False)
    plots.write(drawn, file)
