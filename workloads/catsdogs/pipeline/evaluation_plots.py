"""The plots of the evaluation, one function each, in the style of plots.py.
It must not compute results: it draws what it is given and writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator, PercentFormatter

from catsdogs.pipeline.plots import COLOURS, figure, write

Bins = Sequence[Mapping[str, float]]


def confusion(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> None:
    """Counts by true class (rows) and answer (columns), and their shares of the row."""
    drawn, axes = figure(4.2, 3.8)
    axes.spines[:].set_visible(False)
    shares = [[count / max(sum(row), 1) for count in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, counted in enumerate(matrix):
        for column, count in enumerate(counted):
            share = shares[row][column]
            colour = "white" if share > 0.6 else "#1f2937"
            axes.text(column, row - 0.08, f"{count:,}", ha="center", va="center", color=colour, fontsize=15)
            axes.text(column, row + 0.16, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(classes)), list(classes))
    axes.set_yticks(range(len(classes)), list(classes))
    axes.tick_params(length=0)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    _titled(axes, title)
    write(drawn, file)


def roc(file: Path, cats: Sequence[float], dogs: Sequence[float], title: str) -> None:
    """The ROC curve: share of dogs found over share of cats taken for dogs, each from 0 to 1."""
    drawn, axes = figure(4.2, 4.0)
    axes.plot([0, 1], [0, 1], color=COLOURS["other"], linewidth=1, linestyle=":")
    axes.text(0.62, 0.56, "chance", color=COLOURS["other"], fontsize=9)
    axes.plot(cats, dogs, color=COLOURS["dog"], linewidth=1.8)
    axes.fill_between(cats, dogs, color=COLOURS["dog"], alpha=0.08, linewidth=0)
    axes.set_xlabel("cats taken for dogs")
    axes.set_ylabel("dogs found")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
    _titled(axes, title)
    write(drawn, file)


def reliability(file: Path, before: Bins, after: Bins, temperature: float, title: str) -> None:
    """How often answers of a confidence are right, before and after the temperature, and how many there are.

    Points on the diagonal are honest; below it the model claims more than it knows.
    """
    drawn, (axes, counts) = plt.subplots(
        2, 1, figsize=(4.6, 4.9), dpi=110, layout="constrained", sharex=True, height_ratios=(3.4, 1)
    )
    axes.plot([0.5, 1], [0.5, 1], color=COLOURS["other"], linewidth=1, linestyle=":")
    raw = f"as trained (error {_gap(before):.3f})"
    scaled = f"with temperature {temperature:.2f} (error {_gap(after):.3f})"
    _points(axes, before, raw, color=COLOURS["other"], marker="s", linestyle="--")
    _points(axes, after, scaled, color=COLOURS["dog"], marker="o")
    axes.set_ylabel("share that is right")
    axes.set_ylim(-0.02, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    width = 0.5 / len(after)
    places = [0.5 + (place + 0.5) * width for place in range(len(after))]
    counts.bar(places, [entry["count"] for entry in after], 0.9 * width, color=COLOURS["dog"], alpha=0.6)
    counts.set_ylabel("answers")
    counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    counts.set_xlabel("confidence")
    counts.xaxis.set_major_formatter(PercentFormatter(1))
    counts.set_xlim(0.49, 1.01)
    for part in (axes, counts):
        part.spines[["top", "right"]].set_visible(False)
    _titled(axes, title)
    write(drawn, file)


def _points(axes: Any, bins: Bins, label: str, **style: Any) -> None:
    kept = [entry for entry in bins if entry["count"]]
    places, shares = [entry["confidence"] for entry in kept], [entry["accuracy"] for entry in kept]
    axes.plot(places, shares, linewidth=1.4, markersize=4.5, label=label, **style)


def _gap(bins: Bins) -> float:
    total = sum(entry["count"] for entry in bins)
    return sum(entry["count"] * abs(entry["confidence"] - entry["accuracy"]) for entry in bins) / max(total, 1)


def curves(file: Path, history: Sequence[Mapping[str, Any]], best: int) -> None:
    """Losses and val accuracy by epoch, one above the other; the epoch that was kept is marked."""
    drawn, (losses, shares) = plt.subplots(2, 1, figsize=(6.0, 4.8), dpi=110, layout="constrained", sharex=True)
    epochs = [entry["epoch"] for entry in history]
    style = {"marker": "o", "markersize": 3.5} if len(epochs) < 12 else {}
    for name in ("train", "val"):
        values = [entry[f"{name}Loss"] for entry in history]
        losses.plot(epochs, values, color=COLOURS[name], label=f"{name} loss", **style)
    shares.plot(epochs, [entry["valAccuracy"] for entry in history], color=COLOURS["val"], **style)
    for axes in (losses, shares):
        axes.axvline(best, color=COLOURS["other"], linewidth=1, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
    losses.legend(frameon=False, fontsize=9)
    losses.set_ylabel("loss")
    shares.set_ylabel("val accuracy")
    shares.yaxis.set_major_formatter(PercentFormatter(1))
    shares.set_xlabel("epoch")
    shares.xaxis.set_major_locator(MaxNLocator(integer=True))
    shares.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    _titled(losses, f"Training: {len(epochs)} epoch{'s'[: len(epochs) - 1]}, the weights of epoch {best} were kept")
    write(drawn, file)


def pictures(file: Path, shown: Sequence[Any], lines: Sequence[str], title: str, columns: int = 6) -> None:
    """Pictures, uint8 (S, S, 3), side by side with two short lines under each; at least one."""
    rows = -(-len(shown) // columns)
    columns = min(columns, max(len(shown), 3))
    drawn, axes = plt.subplots(
        rows, columns, figsize=(columns * 1.55, rows * 1.9 + 0.4), dpi=110, layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, line in zip(axes.flat, shown, lines, strict=False):
        axis.imshow(picture, interpolation="bicubic")
        axis.text(0.5, -0.04, line, transform=axis.transAxes, ha="center", va="top", fontsize=8, linespacing=1.25)
    drawn.suptitle(title, fontsize=11, x=0.01, ha="left")
    write(drawn, file)


def _titled(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10.5, loc="left", pad=8)
