"""The stage: all figures of four answers by hand, and of a trained model on the test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catsdogs import model as models
from catsdogs.pipeline import evaluate, train
from catsdogs.pipeline.workspace import EVALUATION, MODEL, PROCESSED, read_json


def test_all_figures_of_four_answers() -> None:
    dogs = np.array([0.08, 0.72, 0.92, 0.92])  # truth: cat, cat, dog, dog; the second is wrong
    logits = np.stack((np.zeros(4), 2 * np.log(dogs / (1 - dogs))), axis=1)  # twice too sure
    found = evaluate.measure(logits, np.array([0, 0, 1, 1]), temperature=2.0)

    empty = {"count": 0, "confidence": 0.0, "accuracy": 0.0}
    wrong, right = {"count": 1, "accuracy": 0.0}, {"count": 3, "accuracy": 1.0}
    after, before = [empty] * 10, [empty] * 10
    after[4], after[8] = {**wrong, "confidence": 0.72}, {**right, "confidence": 0.92}
    before[7], before[9] = {**wrong, "confidence": 0.8686}, {**right, "confidence": 0.9925}
    assert found == {
        "testAccuracy": 0.75,
        "testAccuracyLow": 0.3006,
        "testAccuracyHigh": 0.9544,
        "testCount": 4,
        "testLoss": 0.3808,  # of 0.0834, three times, and 1.273
        "testLossLow": 0.0834,  # the right cat drawn twice
        "testLossHigh": 0.6782,  # the wrong one drawn twice
        "rocAuc": 1.0,
        "rocAucLow": 1.0,
        "rocAucHigh": 1.0,
        "perClass": {
            "cat": {
                "count": 2,
                "precision": 1.0,
                "precisionLow": 0.2065,
                "precisionHigh": 1.0,
                "recall": 0.5,
                "recallLow": 0.0945,
                "recallHigh": 0.9055,
                "f1": 0.6667,
                "f1Low": 0.0,
                "f1High": 1.0,
            },
            "dog": {
                "count": 2,
                "precision": 0.6667,
                "precisionLow": 0.2077,
                "precisionHigh": 0.9385,
                "recall": 1.0,
                "recallLow": 0.3424,
                "recallHigh": 1.0,
                "f1": 0.8,
                "f1Low": 0.6667,
                "f1High": 1.0,
            },
        },
        "confusion": [[1, 1], [0, 2]],
        "classes": ["cat", "dog"],
        "temperature": 2.0,
        "calibrationError": 0.24,
        "reliability": after,
        "uncalibrated": {"testLoss": 0.5131, "calibrationError": 0.2228, "reliability": before},
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
    for figure in ("testAccuracy", "testLoss", "rocAuc"):
        assert found[f"{figure}Low"] <= found[figure] <= found[f"{figure}High"]
    assert found["sanity"].keys() == {
        "permutationP",
        "linearProbe",
        "shuffledProbe",
        "shuffledProbeDeviation",
        "nearestDistance",
        "nearestPair",
        "warnings",
    }
    pictures = ["confusion.png", "curves.png", "reliability.png", "roc.png", "worst.png"]
    assert sorted(path.name for path in EVALUATION.iterdir()) == sorted([*pictures, "metrics.json"])
    for name in pictures:
        with Image.open(EVALUATION / name) as picture:
            assert min(picture.size) > 200
            assert len(set(picture.convert("L").tobytes())) > 10  # not an empty sheet


def test_another_model_file_than_the_trained_one_is_refused(workspace: Path) -> None:
    train.run()
    models.save(MODEL, models.build("SimpleCNN"), {"architecture": "SimpleCNN", "temperature": 1.0})
    with pytest.raises(models.ModelFileError, match="SHA-256"):
        evaluate.run()
    assert not EVALUATION.exists()
