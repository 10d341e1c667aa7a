"""Figures of merit from probabilities and labels, with their uncertainty, in plain Python and numpy.
It must not draw, read files or import torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

RESAMPLES = 1000
CHUNK = 50  # resamples in memory at a time
SEED = 0
LEAST = 1e-12  # a probability of 0 for what is true would make the loss infinite


def wilson(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson 1927): both ends in 0..1. Of nothing (`count` 0) it is all of it."""
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Probabilities (N, 2) of logits (N, 2) over the temperature (> 0)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def log_losses(probabilities: Array, labels: Array) -> Array:
    """The log loss of each row, (N,): minus the natural log of the probability of what is true."""
    losses: Array = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], LEAST, 1))
    return losses


def confusion(answers: Array, labels: Array) -> list[list[int]]:
    """2 x 2 counts: rows are the true class, columns the answer."""
    return [[int(np.sum((labels == true) & (answers == said))) for said in (0, 1)] for true in (0, 1)]


def roc_auc(scores: Array, labels: Array, weights: Array | None = None) -> Array:
    """Area under the ROC curve: how often a dog (1) scores higher than a cat (0), ties half.

    `weights`, (B, N), says how often each row counts; the result is (B,). Without, each counts once, and B is 1.
    """
    counted = np.ones((1, len(labels))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    groups = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # rows of equal score are one group
    dogs = np.add.reduceat((counted * (labels == 1))[:, order], groups, axis=1)
    cats = np.add.reduceat((counted * (labels == 0))[:, order], groups, axis=1)
    below = np.cumsum(cats, axis=1) - cats / 2
    area: Array = (dogs * below).sum(axis=1) / (dogs.sum(axis=1) * cats.sum(axis=1))
    return area


def roc_curve(scores: Array, labels: Array) -> tuple[Array, Array]:
    """Shares of cats taken for dogs and of dogs found, (P,) each from 0 to 1, for falling thresholds."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    dogs = np.cumsum(labels[order] == 1)[ends]
    cats = ends + 1 - dogs
    return np.concatenate(([0.0], cats / cats[-1])), np.concatenate(([0.0], dogs / dogs[-1]))


def f1(answers: Array, labels: Array, label: int, weights: Array | None = None) -> Array:
    """Harmonic mean of precision and recall of a class, (B,) for `weights` (B, N); 0 when it is never met."""
    counted = np.ones((1, len(labels))) if weights is None else weights
    right = counted @ ((answers == label) & (labels == label))
    either = counted @ ((answers == label).astype(float) + (labels == label))
    means: Array = np.divide(2 * right, either, out=np.zeros_like(right), where=either > 0)
    return means


def per_class(matrix: list[list[int]], label: int) -> dict[str, float]:
    """Count, precision and recall of a class of a confusion matrix, with their 95 % intervals (Wilson).

    The precision of a class that is never answered is 0, and its interval all of 0..1.
    """
    right, there, said = matrix[label][label], sum(matrix[label]), matrix[0][label] + matrix[1][label]
    found: dict[str, float] = {"count": there}
    for name, count in (("precision", said), ("recall", there)):
        low, high = wilson(right, count)
        found |= {name: right / count if count else 0.0, f"{name}Low": low, f"{name}High": high}
    return found


def intervals(probabilities: Array, labels: Array) -> dict[str, tuple[float, float]]:
    """95 % intervals of `loss`, `auc`, and `f1` of each class ("f1-0", "f1-1"), by the bootstrap of percentiles.

    Efron 1979; rows are drawn anew within each class, RESAMPLES times, from a fixed seed. An interval of no
    width says that no resample differed, as with 5 answers that are all right; not that nothing is uncertain.
    """
    generator = np.random.default_rng(SEED)
    answers, losses = probabilities.argmax(axis=1), log_losses(probabilities, labels)
    drawn: dict[str, list[Array]] = {"loss": [], "auc": [], "f1-0": [], "f1-1": []}
    for _ in range(0, RESAMPLES, CHUNK):
        weights = resampled(labels, generator)
        drawn["loss"].append(weights @ losses / len(labels))
        drawn["auc"].append(roc_auc(probabilities[:, 1], labels, weights))
        for label in (0, 1):
            drawn[f"f1-{label}"].append(f1(answers, labels, label, weights))
    ends = {name: np.percentile(np.concatenate(values), [2.5, 97.5]) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def resampled(labels: Array, generator: np.random.Generator) -> Array:
    """(CHUNK, N): how often each row was drawn with replacement, as many cats and dogs as there are in labels (N,)."""
    weights = np.zeros((CHUNK, len(labels)))
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        weights[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), CHUNK)
    return weights


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


def chance_p(matrix: list[list[int]]) -> float:
    """How likely as many right answers are when the labels are dealt out anew at random, 0..1.

    The permutation test of the accuracy, counted out instead of sampled: with both margins fixed the right
    answers follow the hypergeometric distribution (Fisher's exact test, one-sided).
    """
    (cats_right, cats_wrong), (dogs_wrong, dogs_right) = matrix
    dogs, said = dogs_wrong + dogs_right, cats_wrong + dogs_right
    total = dogs + cats_right + cats_wrong

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    ways = [
        log_choose(dogs, hits) + log_choose(total - dogs, said - hits) - log_choose(total, said)
        for hits in range(dogs_right, min(dogs, said) + 1)
    ]
    return min(1.0, math.fsum(math.exp(way) for way in ways))
