"""Figures of merit against numbers worked out by hand, and intervals against other ways to compute them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from catsdogs.pipeline import metrics


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval(hits: int, count: int, low: float, high: float) -> None:
    assert tuple(round(end, 4) for end in metrics.wilson(hits, count)) == (low, high)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5), ([0.1, 0.6, 0.5, 0.9], 0.75)],
    ids=["sorted", "turned round", "ties", "one pair wrong"],
)
def test_area_under_the_curve_of_two_cats_and_two_dogs(scores: list[float], expected: float) -> None:
    labels = np.array([0, 0, 1, 1])
    cats, dogs = metrics.roc_curve(np.array(scores), labels)

    assert metrics.roc_auc(np.array(scores), labels) == [expected]
    assert np.trapezoid(dogs, cats) == expected


def test_a_weight_counts_as_that_many_rows() -> None:
    scores, labels = np.array([0.1, 0.6, 0.5, 0.9]), np.array([0, 0, 1, 1])
    weights = np.array([[3.0, 1.0, 2.0, 0.0]])
    rows = np.repeat(np.arange(4), weights[0].astype(int))

    assert metrics.roc_auc(scores, labels, weights) == metrics.roc_auc(scores[rows], labels[rows])
    answers = scores > 0.5
    assert metrics.f1(answers, labels, 1, weights) == metrics.f1(answers[rows], labels[rows], 1)


def test_precision_and_recall_of_a_class_that_is_never_answered() -> None:
    never = metrics.per_class([[5, 0], [5, 0]], 1)

    assert {name: round(value, 4) for name, value in never.items()} == {
        "count": 5,
        "precision": 0.0,
        "precisionLow": 0.0,
        "precisionHigh": 1.0,
        "recall": 0.0,
        "recallLow": 0.0,
        "recallHigh": 0.4345,
    }
    assert metrics.f1(np.zeros(10), np.array([0, 1] * 5), 1) == [0.0]


@pytest.fixture(scope="module")
def answers() -> tuple[metrics.Array, metrics.Array]:
    """Probabilities and labels of 400 answers of a middling model."""
    generator = np.random.default_rng(5)
    labels = np.arange(400) % 2
    margins = generator.normal(1.4 * labels - 0.7, 1.0)
    return metrics.softmax(np.stack((-margins, margins), axis=1)), labels


def test_the_interval_of_the_area_is_that_of_delong(answers: tuple[metrics.Array, metrics.Array]) -> None:
    """E. DeLong et al. 1988: the variance from how each picture does against all of the other class."""
    probabilities, labels = answers
    scores = probabilities[:, 1]
    higher = (scores[labels == 1][:, None] > scores[labels == 0]).astype(float)
    dogs, cats = higher.mean(axis=1), higher.mean(axis=0)
    half = 1.96 * math.sqrt(dogs.var(ddof=1) / len(dogs) + cats.var(ddof=1) / len(cats))
    area = higher.mean()

    assert metrics.intervals(probabilities, labels)["auc"] == pytest.approx((area - half, area + half), abs=0.006)


def test_the_interval_of_the_loss_is_that_of_a_mean(answers: tuple[metrics.Array, metrics.Array]) -> None:
    probabilities, labels = answers
    losses = metrics.log_losses(probabilities, labels)
    half = 1.96 * losses.std(ddof=1) / math.sqrt(len(losses))
    expected = (losses.mean() - half, losses.mean() + half)

    assert metrics.intervals(probabilities, labels)["loss"] == pytest.approx(expected, abs=0.01)


def test_intervals_are_the_same_twice(answers: tuple[metrics.Array, metrics.Array]) -> None:
    assert metrics.intervals(*answers) == metrics.intervals(*answers)


@pytest.mark.parametrize("matrix", [[[3, 1], [1, 2]], [[4, 0], [0, 3]], [[0, 4], [3, 0]], [[4, 0], [3, 0]]])
def test_the_chance_of_as_many_right_answers_is_counted_out(matrix: list[list[int]]) -> None:
    (cats_right, cats_wrong), (dogs_wrong, dogs_right) = matrix
    labels = [0] * (cats_right + cats_wrong) + [1] * (dogs_wrong + dogs_right)
    said = [0] * cats_right + [1] * cats_wrong + [0] * dogs_wrong + [1] * dogs_right
    hits = [sum(a == b for a, b in zip(dealt, said, strict=True)) for dealt in itertools.permutations(labels)]
    expected = sum(count >= cats_right + dogs_right for count in hits) / len(hits)

    assert metrics.chance_p(matrix) == pytest.approx(expected, abs=1e-12)
