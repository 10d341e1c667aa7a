"""How good a model is and how much better than another on the same pictures, with 95 % intervals.
It must not decide what follows, and must come out the same each time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from catsdogs.pipeline import metrics

Array = np.ndarray[Any, Any]
Measure = Callable[[Array, Array, Array | None], Array]

Z = NormalDist().inv_cdf(0.975)
DIGITS = 9  # what is equal on paper (a difference of -0.01, a regression of 0.01) must not differ in its last bit


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Its standard error, by the width of the interval."""
        return (self.high - self.low) / (2 * Z)


def rounded(value: float, low: float, high: float) -> Interval:
    """An interval without the noise of the last bits."""
    return Interval(*(round(float(part), DIGITS) for part in (value, low, high)))


def balanced_accuracy(probabilities: Array, labels: Array, weights: Array | None = None) -> Array:
    """The mean of both classes' recalls, (B,) for `weights` (B, N) that say how often each row counts."""
    counted = np.ones((1, len(labels))) if weights is None else weights
    right = probabilities.argmax(axis=1) == labels
    recalls = [(counted[:, labels == label] @ right[labels == label]) / (labels == label).sum() for label in (0, 1)]
    mean: Array = (recalls[0] + recalls[1]) / 2
    return mean


def roc_auc(probabilities: Array, labels: Array, weights: Array | None = None) -> Array:
    """The area under the ROC curve of the probability of a dog, (B,) for `weights` (B, N)."""
    return metrics.roc_auc(probabilities[:, 1], labels, weights)


RESAMPLED: dict[str, Measure] = {"balancedAccuracy": balanced_accuracy, "rocAuc": roc_auc}


def of_one(metric: str, probabilities: Array, labels: Array) -> Interval:
    """A model's figure on probabilities (N, 2) and labels (N,): Wilson for accuracy, else the bootstrap."""
    if metric == "accuracy":
        hits = int((probabilities.argmax(axis=1) == labels).sum())
        return rounded(hits / len(labels), *metrics.wilson(hits, len(labels)))
    return _bootstrap(lambda weights: RESAMPLED[metric](probabilities, labels, weights), labels)


def of_difference(metric: str, candidate: Array, serving: Array, labels: Array) -> Interval:
    """Candidate less serving, on the same pictures: probabilities (N, 2) of both, labels (N,)."""
    if metric == "accuracy":
        ours, theirs = (answers.argmax(axis=1) == labels for answers in (candidate, serving))
        return bonett_price(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(labels))
    measure = RESAMPLED[metric]
    return _bootstrap(lambda w: measure(candidate, labels, w) - measure(serving, labels, w), labels)


def bonett_price(won: int, lost: int, count: int) -> Interval:
    """The difference of two paired shares: of `count` pictures the candidate alone had `won` right, `lost` wrong.

    The adjusted Wald interval of D. G. Bonett and R. M. Price, Journal of Educational and Behavioral Statistics
    37 (2012), 479-488: one picture is added to each of the two cells that differ.
    """
    better, worse = (won + 1) / (count + 2), (lost + 1) / (count + 2)
    half = Z * math.sqrt((better + worse - (better - worse) ** 2) / (count + 2))
    return rounded((won - lost) / count, max(-1.0, better - worse - half), min(1.0, better - worse + half))


def _bootstrap(measure: Callable[[Array | None], Array], labels: Array) -> Interval:
    """Percentiles of `measure` over resamples of the pictures, drawn within each class from a fixed seed (Efron 1979).

    Both models are measured on the same resample, so what they have in common drops out of a difference.
    """
    generator = np.random.default_rng(metrics.SEED)
    drawn = [measure(metrics.resampled(labels, generator)) for _ in range(0, metrics.RESAMPLES, metrics.CHUNK)]
    return rounded(measure(None)[0], *np.percentile(np.concatenate(drawn), [2.5, 97.5]))


def chance_of_refusal(error: float, max_regression: float, inconclusive: str) -> float:
    """How likely the gate refuses a model that is exactly as good, 0..1, for a difference of this standard error.

    By the normal approximation. When inconclusive means Accept, it is refused below -max_regression; when it means
    Refuse, also while the interval's lower end is below that.
    """
    if error <= 0:
        return 0.0
    margin = max_regression / error - (Z if inconclusive == "Refuse" else 0.0)
    return NormalDist().cdf(-margin)
