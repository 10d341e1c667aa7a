"""The figures of a model, checked against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catsdogs import model as models
from catsdogs.pipeline import evaluate, metrics, train
from catsdogs.pipeline.workspace import EVALUATION, MODEL, PROCESSED, read_json


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(50, 100, 0.4038, 0.5962), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilson_interval(hits: int, count: int, low: float, high: float) -> None:
    assert tuple(round(end, 4) for end in metrics.wilson(hits, count)) == (low, high)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5), ([0.1, 0.6, 0.5, 0.9], 0.75)],
    ids=["sorted", "turned round", "ties", "one pair wrong"],
)
def test_area_under_the_curve_of_two_cats_and_two_dogs(scores: list[float], expected: float) -> None:
    assert metrics.roc_auc(np.array(scores), np.array([0, 0, 1, 1])) == expected


def test_all_figures_of_four_answers() -> None:
    dogs = np.array([0.1, 0.7, 0.9, 0.9])  # truth: cat, cat, dog, dog; the second is wrong
    found = evaluate.measure(np.stack((1 - dogs, dogs), axis=1), np.array([0, 0, 1, 1]))

    empty = {"count": 0, "confidence": 0.0, "accuracy": 0.0}
    bins = [empty] * 10
    bins[3 if int((0.7 - 0.5) * 2 * 10) == 3 else 4] = {"count": 1, "confidence": 0.7, "accuracy": 0.0}
    bins[8] = {"count": 3, "confidence": 0.9, "accuracy": 1.0}
    assert found == {
        "testAccuracy": 0.75,
        "testAccuracyLow": 0.3006,
        "testAccuracyHigh": 0.9544,
        "testCount": 4,
        "testLoss": 0.38,
        "rocAuc": 1.0,
        "calibrationError": 0.25,
        "confusion": [[1, 1], [0, 2]],
        "classes": ["cat", "dog"],
        "reliability": bins,
    }


def test_the_stage_measures_the_saved_model_on_the_test_split(workspace: Path) -> None:
    train.run()
    evaluate.run()
    found = read_json(EVALUATION / "metrics.json")
    names = read_json(PROCESSED / "manifest.json")["splits"]["test"]["names"]
    cats = sum(name.startswith("Cat/") for name in names)

    assert [sum(row) for row in found["confusion"]] == [cats, len(names) - cats]
    assert found["testCount"] == len(names)
    assert found["testAccuracy"] == round((found["confusion"][0][0] + found["confusion"][1][1]) / len(names), 4)
    assert 0 <= found["testAccuracyLow"] < found["testAccuracy"] < found["testAccuracyHigh"] <= 1
    assert sorted(path.name for path in EVALUATION.iterdir()) == [
        "confusion.png",
        "curves.png",
        "metrics.json",
        "reliability.png",
        "worst.png",
    ]


def test_another_model_file_than_the_trained_one_is_refused(workspace: Path) -> None:
    train.run()
    models.save(MODEL, models.build("SimpleCNN"), {"architecture": "SimpleCNN", "temperature": 1.0})
    with pytest.raises(models.ModelFileError, match="SHA-256"):
        evaluate.run()
    assert not EVALUATION.exists()
