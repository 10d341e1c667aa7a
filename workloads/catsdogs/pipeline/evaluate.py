"""Evaluate: the saved model.pt, read back as the server reads it, measured once on the test split.
It must not choose or change anything by what it sees there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from catsdogs import key
from catsdogs import model as models
from catsdogs.pipeline import evaluation_plots as plots
from catsdogs.pipeline import metrics, sanity
from catsdogs.pipeline.device import SERVED_ON
from catsdogs.pipeline.preprocess import load_split
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.scoring import logits_of
from catsdogs.pipeline.workspace import EVALUATION, INGESTED, MODEL, PROCESSED, TRAINING, read_json, write_json

WORST = 24
SHOWN = 22  # characters of a name under its picture

Array = np.ndarray[Any, Any]


def run() -> None:
    """The stage: model.pt and the arrays to model/evaluation.

    Raises StageError 65 when a test photograph is in train or val too.
    """
    progress = Progress("evaluate")
    training, processed = read_json(TRAINING), read_json(PROCESSED / "manifest.json")
    module, metadata = models.load(MODEL, training["sha256"])
    pixels, labels = load_split("test")
    logits, truth = logits_of(module, pixels, SERVED_ON).numpy(), labels.numpy()
    progress.report(1, 3, at_once=True)
    result = measure(logits, truth, metadata["temperature"])
    result["sanity"] = sanity.check(read_json(INGESTED / "manifest.json")["photos"], processed, result["confusion"])
    progress.report(2, 3, at_once=True)
    EVALUATION.mkdir(parents=True, exist_ok=True)
    probabilities = metrics.softmax(logits, metadata["temperature"])
    draw(result, probabilities, truth, training)
    draw_worst(probabilities, truth, pixels, processed["splits"]["test"]["names"])
    write_json(EVALUATION / "metrics.json", result)
    progress.report(3, 3)
    for warning in result["sanity"]["warnings"]:
        progress.say(f"warning: {warning}")
    low, high = result["testAccuracyLow"], result["testAccuracyHigh"]
    progress.say(f"test accuracy {result['testAccuracy']:.3f} ({low:.3f} to {high:.3f}) of {result['testCount']}")


def measure(logits: Array, labels: Array, temperature: float) -> dict[str, Any]:
    """All figures of the test split as plain values: logits (N, 2), labels (N,) of both classes.

    Shares are 0..1, losses in nats, intervals 95 %: Wilson for shares, bootstrap for the others. `uncalibrated`
    is what they would be without the temperature.
    """
    probabilities = metrics.softmax(logits, temperature)
    answers = probabilities.argmax(axis=1)
    hits, count = int((answers == labels).sum()), len(labels)
    matrix = metrics.confusion(answers, labels)
    ends = metrics.intervals(probabilities, labels)
    content = {
        **_with_ends("testAccuracy", hits / count, metrics.wilson(hits, count)),
        "testCount": count,
        **_with_ends("testLoss", metrics.log_losses(probabilities, labels).mean(), ends["loss"]),
        **_with_ends("rocAuc", metrics.roc_auc(probabilities[:, 1], labels)[0], ends["auc"]),
        "perClass": {
            name: metrics.per_class(matrix, label)
            | _with_ends("f1", metrics.f1(answers, labels, label)[0], ends[f"f1-{label}"])
            for label, name in enumerate(key.CLASSES)
        },
        "confusion": matrix,
        "classes": list(key.CLASSES),
        "temperature": temperature,
        **_calibration(probabilities, labels),
    }
    raw = metrics.softmax(logits)
    uncalibrated = {"testLoss": metrics.log_losses(raw, labels).mean(), **_calibration(raw, labels)}
    rounded: dict[str, Any] = _rounded({**content, "uncalibrated": uncalibrated})
    return rounded


def _with_ends(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    return {name: value, f"{name}Low": ends[0], f"{name}High": ends[1]}


def _calibration(probabilities: Array, labels: Array) -> dict[str, Any]:
    bins = metrics.reliability(probabilities, labels)
    return {"calibrationError": metrics.calibration_error(bins), "reliability": bins}


def _rounded(content: Any) -> Any:
    """The same with every number that is not whole at four decimals."""
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return round(float(content), 4) if isinstance(content, float | np.floating) else content


def draw(result: dict[str, Any], probabilities: Array, labels: Array, training: dict[str, Any]) -> None:
    """The PNGs beside metrics.json: confusion, ROC, reliability and the curves of the training."""
    low, high = result["testAccuracyLow"], result["testAccuracyHigh"]
    accuracy = f"{result['testAccuracy']:.1%} of {result['testCount']:,} right\n(95 % interval {low:.1%} to {high:.1%})"
    plots.confusion(EVALUATION / "confusion.png", result["confusion"], key.CLASSES, accuracy)
    area = f"Area {result['rocAuc']:.3f} (95 % interval {result['rocAucLow']:.3f} to {result['rocAucHigh']:.3f})"
    cats, dogs = metrics.roc_curve(probabilities[:, 1], labels)
    plots.roc(EVALUATION / "roc.png", cats.tolist(), dogs.tolist(), area)
    before, after = result["uncalibrated"]["reliability"], result["reliability"]
    title = "How often the model is right when it is sure"
    plots.reliability(EVALUATION / "reliability.png", before, after, result["temperature"], title)
    plots.curves(EVALUATION / "curves.png", training["history"], training["bestEpoch"])


def draw_worst(probabilities: Array, labels: Array, pixels: torch.Tensor, names: list[str]) -> None:
    """The wrong answers that were given with most confidence, or the least sure ones when none is wrong."""
    truth = probabilities[np.arange(len(labels)), labels]
    wrong = int((probabilities.argmax(axis=1) != labels).sum())
    worst = np.argsort(truth, kind="stable")[: min(wrong or WORST, WORST)]
    title = f"The {len(worst)} most confident of {wrong} mistakes" if wrong else "No mistakes; the least sure answers"
    lines = []
    for row in worst:
        answer = int(probabilities[row].argmax())
        name = names[row] if len(names[row]) <= SHOWN else f"…{names[row][1 - SHOWN :]}"
        lines.append(f"{name}\n{key.CLASSES[answer]}, {probabilities[row, answer]:.0%} sure")
    shown = [pixels[int(row)].permute(1, 2, 0).numpy() for row in worst]
    plots.pictures(EVALUATION / "worst.png", shown, lines, title)
