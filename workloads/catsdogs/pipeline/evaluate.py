"""Evaluate: the saved model.pt, read back as the server reads it, measured once on the test split.
It must not choose or change anything by what it sees there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from catsdogs import key
from catsdogs import model as models
from catsdogs.pipeline import metrics, plots
from catsdogs.pipeline.preprocess import load_split
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import EVALUATION, MODEL, PROCESSED, TRAINING, read_json, write_json

WORST = 24


def run() -> None:
    """The stage: model.pt and the test arrays to model/evaluation."""
    progress = Progress("evaluate")
    training = read_json(TRAINING)
    module, metadata = models.load(MODEL, training["sha256"])
    pixels, labels = load_split("test")
    probabilities = predict(module, pixels, metadata["temperature"])
    progress.report(1, 2, at_once=True)
    result = measure(probabilities, labels.numpy())
    draw(result, probabilities, pixels, labels.numpy(), training["history"])
    write_json(EVALUATION / "metrics.json", result)
    progress.report(2, 2)
    low, high = result["testAccuracyLow"], result["testAccuracyHigh"]
    progress.say(f"test accuracy {result['testAccuracy']:.3f} ({low:.3f} to {high:.3f}) of {result['testCount']}")


@torch.inference_mode()
def predict(module: torch.nn.Module, pixels: torch.Tensor, temperature: float) -> np.ndarray[Any, Any]:
    """Probabilities (N, 2) of uint8 pixels (N, 3, S, S)."""
    logits = torch.cat([module(models.normalize(part)) for part in torch.split(pixels, 256)])
    return np.asarray(models.probabilities(logits, temperature).numpy())


def measure(probabilities: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """All figures of the test split as plain values; shares are 0..1, intervals 95 % (Wilson)."""
    answers = probabilities.argmax(axis=1)
    hits, count = int((answers == labels).sum()), len(labels)
    low, high = metrics.wilson(hits, count)
    bins = metrics.reliability(probabilities, labels)
    loss = -np.log(np.clip(probabilities[np.arange(count), labels], 1e-12, 1)).mean()
    return {
        "testAccuracy": round(hits / count, 4),
        "testAccuracyLow": round(low, 4),
        "testAccuracyHigh": round(high, 4),
        "testCount": count,
        "testLoss": round(float(loss), 4),
        "rocAuc": round(metrics.roc_auc(probabilities[:, 1], labels), 4),
        "calibrationError": round(metrics.calibration_error(bins), 4),
        "confusion": metrics.confusion(answers, labels),
        "classes": list(key.CLASSES),
        "reliability": bins,
    }


def draw(
    result: dict[str, Any],
    probabilities: np.ndarray[Any, Any],
    pixels: torch.Tensor,
    labels: np.ndarray[Any, Any],
    history: list[dict[str, float]],
) -> None:
    """The PNGs beside metrics.json: confusion, reliability, curves, and the most mistaken answers."""
    EVALUATION.mkdir(parents=True, exist_ok=True)
    plots.confusion(EVALUATION / "confusion.png", result["confusion"], key.CLASSES)
    plots.reliability(EVALUATION / "reliability.png", result["reliability"])
    plots.curves(EVALUATION / "curves.png", history)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    worst = wrong[np.argsort(probabilities[wrong, labels[wrong]])][:WORST]
    names = read_json(PROCESSED / "manifest.json")["splits"]["test"]["names"]
    shown = worst if len(worst) else np.arange(min(WORST, len(labels)))
    pictures = [pixels[int(row)].permute(1, 2, 0).numpy() for row in shown]
    titles = [f"{names[row]}\n{key.CLASSES[labels[row]]} {probabilities[row, labels[row]]:.0%}" for row in shown]
    plots.grid(EVALUATION / "worst.png", pictures, titles)
