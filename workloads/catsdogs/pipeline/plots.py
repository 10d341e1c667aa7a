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


def grid(file: Path, pictures: Sequence[Any], titles: Sequence[str], columns: int = 8) -> None:
    """Pictures, uint8 (S, S, 3), side by side with a line over each; at least one."""
    rows = -(-len(pictures) // columns)
    drawn, axes = plt.subplots(
        rows, columns, figsize=(columns * 1.2, rows * 1.4), dpi=110, layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=7, pad=2)
    write(drawn, file)


def confusion(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Counts by true class (rows) and answer (columns)."""
    drawn, axes = figure(3.8, 3.4)
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
    write(drawn, file)


def curves(file: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss of train and val, and val accuracy, by epoch."""
    drawn, axes = figure()
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
    write(drawn, file)


def reliability(file: Path, bins: Sequence[Mapping[str, float]]) -> None:
    """How often answers of a confidence are right: the nearer to the diagonal, the more honest."""
    drawn, axes = figure(3.8, 3.6)
    axes.plot([0.5, 1], [0.5, 1], color=COLOURS["other"], linewidth=1, linestyle=":")
    points = [(entry["confidence"], entry["accuracy"]) for entry in bins if entry["count"]]
    axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS["dog"])
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    write(drawn, file)
