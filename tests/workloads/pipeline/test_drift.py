"""Shifts between versions: seen where they are, not seen where there are none, many equal values or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catsdogs.pipeline import drift


def summary(version: str, values: Any, cats: int = 1) -> dict[str, Any]:
    counts = {"cat": {"photographs": cats}, "dog": {"photographs": 4 - cats}}
    return {"dataVersion": version, "photographs": 4, "classes": counts, "spreads": {"x": drift.spread(values)}}


def test_the_distance_is_that_of_the_samples() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, 4000), rng.normal(1, 1, 4000)

    # Two normal distributions a deviation apart are 2 Phi(1/2) - 1 = 0.383 from each other.
    assert drift.ks(drift.spread(first)["quantiles"], drift.spread(second)["quantiles"]) == pytest.approx(
        0.383, abs=0.03
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1, 2, 3], [1, 2, 3], 0.0), ([1, 1, 1], [2, 2, 2], 1.0), ([5], [5], 0.0), ([1] * 50 + [2] * 50, [1] * 100, 0.5)],
)
def test_equal_values_count_as_equal(first: list[float], second: list[float], expected: float) -> None:
    found = drift.ks(drift.spread(first)["quantiles"], drift.spread(second)["quantiles"])

    assert found == pytest.approx(expected, abs=0.02)


def test_a_shift_is_told_with_its_size() -> None:
    before, now = summary("d1", [0.0] * 500 + [2.0] * 500), summary("d2", [2.0] * 500 + [4.0] * 500, cats=2)

    assert drift.compare(before, now, newcomers=3) == {
        "against": "d1",
        "newcomers": 3,
        "left": 3,
        "cats": {"before": 0.25, "now": 0.5},
        "measures": {"x": {"before": 1.0, "now": 3.0, "ks": 0.51, "meanDifference": 2.0, "shifted": True}},
    }


def test_what_chance_does_is_no_shift() -> None:
    rng = np.random.default_rng(1)
    before, now = (summary(version, rng.normal(0, 1, 1000)) for version in ("d1", "d2"))
    found = drift.compare(before, now, newcomers=0)

    assert found is not None
    assert not found["measures"]["x"]["shifted"]


@pytest.mark.parametrize("previous", [None, {"dataVersion": "of an older release"}])
def test_without_a_version_before_there_is_no_drift(previous: dict[str, Any] | None) -> None:
    assert drift.compare(previous, summary("d2", [1.0]), newcomers=4) is None
