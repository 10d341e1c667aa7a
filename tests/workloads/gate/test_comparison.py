"""Intervals and decisions on answers made up here: against numbers worked out by hand, and over many pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catsdogs.gate import comparison, decision
from catsdogs.gate.comparison import Interval
from catsdogs.gate.settings import Address, ModelFile, Settings

FILE = ModelFile(Address("b", "models/cats-dogs/v/model.pt"), "0" * 64)
Array = np.ndarray[Any, Any]


def settings(**changes: Any) -> Settings:
    return Settings(FILE, FILE, Address("b", "reports/"), **changes)


@pytest.mark.parametrize(
    ("won", "lost", "count", "expected"),
    [
        (0, 0, 300, Interval(0.0, -0.009178, 0.009178)),
        (16, 0, 400, Interval(0.04, 0.019485, 0.060117)),
        (12, 20, 300, Interval(-0.026667, -0.064215, 0.011234)),
        (10, 0, 10, Interval(1.0, 0.520580, 1.0)),
    ],
    ids=["never apart", "one side only", "both sides", "all won"],
)
def test_bonett_and_price(won: int, lost: int, count: int, expected: Interval) -> None:
    found = comparison.bonett_price(won, lost, count)

    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=2e-6
    )


def test_the_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    """2,000 sets of 300 pictures, of which the candidate alone has 4 % right and the serving model alone 7 %."""
    draws = np.random.default_rng(0).multinomial(300, [0.04, 0.07, 0.89], 2000)
    intervals = [comparison.bonett_price(int(won), int(lost), 300) for won, lost, _ in draws]

    assert np.mean([found.low <= -0.03 <= found.high for found in intervals]) == pytest.approx(0.95, abs=0.015)


def certain(answers: Array, sure: float = 0.9) -> Array:
    """Probabilities (N, 2) for answers (N,) of 0 and 1."""
    dogs = np.where(answers == 1, sure, 1 - sure)
    return np.stack([1 - dogs, dogs], axis=1)


def pair(random: np.random.Generator, count: int, error: float, discordance: float) -> tuple[Array, Array, Array]:
    """Labels, and answers of two models equally good: each alone errs on half of the discordant pictures."""
    labels = np.arange(count) % 2
    place = random.random(count)
    both = error - discordance / 2
    ours = place < both + discordance / 2
    theirs = (place < both) | ((place >= both + discordance / 2) & (place < both + discordance))
    return labels, certain(labels ^ ours), certain(labels ^ theirs)


@pytest.mark.parametrize("metric", ["accuracy", "balancedAccuracy"])
def test_of_100_equal_pairs_at_most_5_are_refused(metric: str) -> None:
    """On 3,750 pictures, the test split of 25,000; both err on 10 %, and differ on 10 %, as two seeds of one recipe."""
    rule, refused = settings(metric=metric, max_regression=0.01), []
    for seed in range(100):
        labels, ours, theirs = pair(np.random.default_rng(seed), 3750, 0.10, 0.10)
        difference = comparison.of_difference(metric, ours, theirs, labels)
        ruling = decision.rule(rule, len(labels), comparison.of_one(metric, ours, labels), difference)
        refused += [] if ruling.verdict == "Accepted" else [ruling.verdict]

    assert len(refused) <= 5, refused


@pytest.mark.parametrize(
    ("count", "allowed", "policy", "expected"),
    [
        # The table of docs/gate.md.
        (300, "0.01", "Accept", 0.29),
        (300, "0.03", "Accept", 0.05),
        (1000, "0.01", "Accept", 0.16),
        (4000, "0.01", "Accept", 0.02),
        (300, "0.03", "Refuse", 0.62),
        (4000, "0.01", "Refuse", 0.48),
        (4000, "0.02", "Refuse", 0.02),
    ],
)
def test_the_told_chance_of_refusing_an_equal_model_is_how_often_it_happens(
    count: int, allowed: str, policy: str, expected: float
) -> None:
    told = comparison.chance_of_refusal((0.10 / count) ** 0.5, float(allowed), policy)
    rule = settings(max_regression=float(allowed), inconclusive=policy)
    draws = np.random.default_rng(1).multinomial(count, [0.05, 0.05, 0.9], 4000)
    best = Interval(1.0, 1.0, 1.0)
    happened = np.mean(
        [
            decision.rule(rule, count, best, comparison.bonett_price(int(w), int(lost), count)).verdict != "Accepted"
            for w, lost, _ in draws
        ]
    )

    assert round(told, 2) == expected
    assert happened == pytest.approx(told, abs=0.06)


@pytest.mark.parametrize(
    ("value", "low", "high", "allowed", "policy", "verdict"),
    [
        (0.02, 0.01, 0.03, 0.0, "Refuse", "Accepted"),
        (0.0, -0.01, 0.01, 0.01, "Refuse", "Accepted"),
        (0.0, -0.02, 0.02, 0.01, "Accept", "Accepted"),
        (0.0, -0.02, 0.02, 0.01, "Refuse", "Inconclusive"),
        (-0.01, -0.03, 0.01, 0.01, "Accept", "Accepted"),
        (-0.02, -0.05, 0.01, 0.01, "Accept", "Inconclusive"),
        (-0.02, -0.05, 0.01, 0.01, "Refuse", "Inconclusive"),
        (-0.02, -0.03, -0.01, 0.01, "Accept", "WorseThanServing"),
        (-0.02, -0.03, -0.01, 0.02, "Accept", "Accepted"),
        (-0.02, -0.03, -0.01, 0.02, "Refuse", "Inconclusive"),
        (-0.02, -0.03, -0.01, 0.03, "Refuse", "Accepted"),
    ],
)
def test_each_place_of_the_interval_has_its_verdict(
    value: float, low: float, high: float, allowed: float, policy: str, verdict: str
) -> None:
    rule = settings(max_regression=allowed, inconclusive=policy)

    assert decision.rule(rule, 300, Interval(0.9, 0.85, 0.93), Interval(value, low, high)).verdict == verdict


def test_a_regression_as_large_as_allowed_is_allowed_to_the_last_bit() -> None:
    """3 of 300 are 0.01; 0.90 less 0.89 is 0.010000000000000009 in floating point."""
    lost = comparison.bonett_price(0, 3, 300)
    rule = settings(max_regression=0.01)

    assert decision.rule(rule, 300, Interval(0.89, 0.85, 0.93), lost).verdict == "Accepted"
    below = Interval(0.6, 0.5, 0.7)
    assert decision.rule(settings(minimum=0.6), 300, below, None).verdict == "Accepted"


@pytest.mark.parametrize("metric", ["balancedAccuracy", "rocAuc"])
def test_the_bootstrap_of_a_difference_takes_the_same_pictures_for_both(metric: str) -> None:
    """Two models of the same answers differ by exactly nothing, however uncertain each one is."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    dogs = np.clip(labels * 0.3 + random.random(200) * 0.7, 0.01, 0.99)
    answers = np.stack([1 - dogs, dogs], axis=1)

    one, again = (comparison.of_one(metric, answers, labels) for _ in range(2))

    assert one == again
    assert one.low < one.value < one.high
    assert comparison.of_difference(metric, answers, answers, labels) == Interval(0.0, 0.0, 0.0)


def test_the_bootstrap_agrees_with_the_formula_where_both_are_right() -> None:
    """On as many cats as dogs balanced accuracy is accuracy, so both intervals of the difference are of one thing."""
    labels, ours, theirs = pair(np.random.default_rng(0), 2000, 0.10, 0.10)

    formula = comparison.of_difference("accuracy", ours, theirs, labels)
    drawn = comparison.of_difference("balancedAccuracy", ours, theirs, labels)

    assert drawn.value == formula.value
    assert (drawn.low, drawn.high) == pytest.approx((formula.low, formula.high), abs=0.002)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([0, 0, 0, 0, 0, 0], "the candidate calls all 6 pictures cat: look at its training"),
        (
            [0, 0, 1, 1, 1, 0],
            "the candidate is no better than labels dealt out at random: 66.7% of 6 pictures right "
            "(permutation test, p = 0.5): look at its labels and its training",
        ),
        ([0, 0, 0, 1, 1, 1], None),
    ],
    ids=["one class", "chance", "all right"],
)
def test_sanity(answers: list[int], message: str | None) -> None:
    found = decision.sane(certain(np.array(answers)), np.array([0, 0, 0, 1, 1, 1]))

    assert found == (decision.Ruling("SanityFailed", message) if message else None)
