"""The short summary of each stage, from the files it left; so a stage taken from a cache has one too.
It must not import torch or compute anything that is not in those files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from catsdogs.pipeline.workspace import EDA, EVALUATION, INGESTED, PROCESSED, SPLITS, TRAINING, read_json


def of(stage: str, workspace: Path) -> dict[str, Any]:
    """The summary of `stage` in `workspace`, as its termination message carries it."""
    return SUMMARIES[stage](workspace)


def ingest(workspace: Path) -> dict[str, Any]:
    """Photographs accepted, set aside, and per split."""
    manifest = read_json(workspace / INGESTED / "manifest.json")
    splits = Counter(photo["split"] for photo in manifest["photos"])
    return {
        "dataVersion": manifest["dataVersion"],
        "accepted": len(manifest["photos"]),
        "rejected": len(manifest["rejected"]),
        **{split: splits[split] for split in SPLITS},
    }


def preprocess(workspace: Path) -> dict[str, Any]:
    """Rows per split, and photographs that could not be decoded after all."""
    manifest = read_json(workspace / PROCESSED / "manifest.json")
    counts = {split: len(content["names"]) for split, content in manifest["splits"].items()}
    return {"imageSize": manifest["imageSize"], "rejected": len(manifest["rejected"]), **counts}


def eda(workspace: Path) -> dict[str, Any]:
    """Means that a person recognises the data by."""
    summary = read_json(workspace / EDA / "summary.json")
    return {name: summary[name] for name in ("photographs", "rejected", "medianWidth", "medianHeight")}


def train(workspace: Path) -> dict[str, Any]:
    """How long, how good on the val split, and what ended it."""
    training = read_json(workspace / TRAINING)
    return {name: training[name] for name in ("epochs", "bestEpoch", "valAccuracy", "stoppedBy", "seconds")}


def evaluate(workspace: Path) -> dict[str, Any]:
    """Accuracy on the test split with its 95 % interval."""
    measured = read_json(workspace / EVALUATION / "metrics.json")
    names = ("testAccuracy", "testAccuracyLow", "testAccuracyHigh", "testCount")
    return {name: measured[name] for name in names}


SUMMARIES = {
    "ingest": ingest,
    "preprocess": preprocess,
    "eda": eda,
    "train": train,
    "evaluate": evaluate,
}
