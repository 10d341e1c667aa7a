"""Figures of merit from probabilities and labels, with their uncertainty, in plain Python and numpy.
It must not draw, read files or import torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def wilson(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson 1927): both ends in 0..1. `count` is at least 1."""
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion(answers: Array, labels: Array) -> list[list[int]]:
    """2 x 2 counts: rows are the true class, columns the answer."""
    return [[int(np.sum((labels == true) & (answers == said))) for said in (0, 1)] for true in (0, 1)]


def roc_auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: how often a dog (1) scores higher than a cat (0), ties half."""
    dogs, cats = scores[labels == 1], scores[labels == 0]
    higher = np.searchsorted(np.sort(cats), dogs, side="left").sum()
    not_lower = np.searchsorted(np.sort(cats), dogs, side="right").sum()
    return float((higher + not_lower) / 2 / (len(dogs) * len(cats)))


def reliability(probabilities: Array, labels: Array, bins: int = 10) -> list[dict[str, float]]:
    """Mean confidence and share of right answers in equal bins of confidence from 0.5 to 1."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.clip(((confidence - 0.5) * 2 * bins).astype(int), 0, bins - 1)
    found = []
    for place in range(bins):
        inside = places == place
        count = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if count else (0.0, 0.0)
        found.append({"count": count, "confidence": round(means[0], 4), "accuracy": round(means[1], 4)})
    return found


def calibration_error(bins: list[dict[str, float]]) -> float:
    """Expected calibration error (Naeini et al. 2015): mean gap of confidence and accuracy, by count."""
    total = sum(entry["count"] for entry in bins)
    return sum(entry["count"] * abs(entry["confidence"] - entry["accuracy"]) for entry in bins) / total
