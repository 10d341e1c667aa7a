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


def _figure(width: float = 6.0, height: float = 3.4) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(width, height), dpi=110, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Any) -> Any:
    return figure.legend(loc="outside upper right", ncols=2, frameon=False)


def _write(figure: Any, file: Path) -> None:
    # No software name and no date: the same numbers give the same file.
    figure.savefig(file, metadata={"Software": None})
    plt.close(figure)


def counts(file: Path, splits: Mapping[str, Mapping[str, int]]) -> None:
    """Photographs per split and class: `splits` is {"train": {"cat": 700, ...}, ...}."""
    figure, axes = _figure()
    for offset, label in ((-0.2, "cat"), (0.2, "dog")):
        places = [index + offset for index in range(len(splits))]
        values = [content[label] for content in splits.values()]
        axes.bar_label(axes.bar(places, values, 0.36, color=COLOURS[label], label=label))
    axes.set_xticks(range(len(splits)), list(splits))
    axes.set_ylabel("photographs")
    _legend(figure)
    _write(figure, file)


def histogram(file: Path, values: Mapping[str, Sequence[float]], unit: str) -> None:
    """One outline per class over `values` (label to numbers, at least one in all)."""
    figure, axes = _figure()
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
    _legend(figure)
    _write(figure, file)


def scatter(file: Path, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Width against height of every photograph, in pixels."""
    figure, axes = _figure()
    for label, pairs in points.items():
        axes.scatter(*zip(*pairs, strict=True), s=9, alpha=0.45, linewidths=0, color=COLOURS[label], label=label)
    axes.set_xlabel("width, px")
    axes.set_ylabel("height, px")
    for mark in _legend(figure).legend_handles:
        mark.set(alpha=1, sizes=[36])
    _write(figure, file)


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


def grid(file: Path, pictures: Sequence[Any], titles: Sequence[str], columns: int = 8) -> None:
    """Pictures, uint8 (S, S, 3), side by side with a line over each; at least one."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * 1.2, rows * 1.4), dpi=110, layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=7, pad=2)
    _write(figure, file)


def confusion(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Counts by true class (rows) and answer (columns)."""
    figure, axes = _figure(3.8, 3.4)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    top = max(max(row) for row in matrix)
    for row, counted in enumerate(matrix):
        for column, count in enumerate(counted):
            colour = "white" if count > top / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), list(classes))
    axes.set_yticks(range(len(classes)), list(classes))
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    _write(figure, file)


def curves(file: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss of train and val, and val accuracy, by epoch."""
    figure, axes = _figure()
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["trainLoss"] for entry in history], color=COLOURS["train"], label="train loss")
    axes.plot(epochs, [entry["valLoss"] for entry in history], color=COLOURS["val"], label="val loss")
    right = axes.twinx()
    right.plot(epochs, [entry["valAccuracy"] for entry in history], color=COLOURS["other"], linestyle="--")
    right.set_ylabel("val accuracy (dashed)")
    right.spines[["top"]].set_visible(False)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, loc="upper center")
    _write(figure, file)


def reliability(file: Path, bins: Sequence[Mapping[str, float]]) -> None:
    """How often answers of a confidence are right: the nearer to the diagonal, the more honest."""
    figure, axes = _figure(3.8, 3.6)
    axes.plot([0.5, 1], [0.5, 1], color=COLOURS["other"], linewidth=1, linestyle=":")
    points = [(entry["confidence"], entry["accuracy"]) for entry in bins if entry["count"]]
    axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS["dog"])
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    _write(figure, file)
