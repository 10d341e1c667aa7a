"""The style that all plots of the stages share: colours, figure, legend, and the file.
It must not know what is drawn."""

from __future__ import annotations

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
