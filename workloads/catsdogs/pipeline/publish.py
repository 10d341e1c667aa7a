"""Publish: what a stage made becomes a version in the bucket, whole or not at all.
It must not overwrite a published version: the file that closes one is written last, and once."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import tracking
from catsdogs.pipeline.settings import Settings
from catsdogs.pipeline.workspace import (
    EDA,
    EVALUATION,
    INGESTED,
    MODEL,
    MODEL_JSON,
    PROCESSED,
    TRAINING,
    read_json,
    write_json,
)

TEST_METRICS = ("testAccuracy", "testAccuracyLow", "testAccuracyHigh", "testCount")
# Stage: its folder in the workspace, its name in the bucket, the file that closes it.
DATA = {
    "ingest": (INGESTED, "ingested", "manifest.json"),
    "preprocess": (PROCESSED, "processed", "manifest.json"),
    "eda": (EDA, "eda", "summary.json"),
}


def data(settings: Settings, stage: str) -> None:
    """Send what a data stage made to datasets/cats-dogs/DATAVERSION/; one that is there already is kept."""
    folder, name, last = DATA[stage]
    prefix = key.data_prefix(data_version(settings), name)
    store.upload_folder(store.open_bucket(settings.bucket), prefix, settings.repo / folder, last)


def data_version(settings: Settings) -> str:
    """The version of the data that this workspace has ingested."""
    return str(read_json(settings.repo / INGESTED / "manifest.json")["dataVersion"])


def model(settings: Settings) -> dict[str, Any]:
    """Track the run, write model.json and send all to models/cats-dogs/VERSION/; returns the stage's summary.

    When another run of the same key was first, its version stays and is what the summary tells.
    """
    bucket, prefix = store.open_bucket(settings.bucket), key.model_prefix(settings.version)
    if (first := published(bucket, prefix)) is not None:
        return summary(first, settings.bucket)
    described = describe(settings, _track(settings))
    write_json(settings.repo / MODEL_JSON, described)
    repo = settings.repo
    for file in sorted((repo / EVALUATION).iterdir()):
        store.upload(bucket, f"{prefix}evaluation/{file.name}", file)
    store.upload(bucket, f"{prefix}dvc.lock", repo / "dvc.lock")
    store.upload(bucket, f"{prefix}model.pt", repo / MODEL)
    if not store.upload(bucket, f"{prefix}model.json", repo / MODEL_JSON, once=True):
        described = published(bucket, prefix) or described
    store.delete_folder(bucket, key.checkpoint_prefix(settings.version))
    return summary(described, settings.bucket)


def published(bucket: Any, prefix: str) -> dict[str, Any] | None:
    """The model.json of a published version, or None."""
    content = store.download_if_there(bucket, f"{prefix}model.json")
    return None if content is None else dict(json.loads(content))


def describe(settings: Settings, tracked: tracking.Tracked) -> dict[str, Any]:
    """The content of model.json: digest, metrics, lineage."""
    repo = settings.repo
    training, measured = read_json(repo / TRAINING), read_json(repo / EVALUATION / "metrics.json")
    return {
        "version": settings.version,
        "sha256": training["sha256"],
        "size": (repo / MODEL).stat().st_size,
        "architecture": settings.parameters["architecture"],
        "imageSize": settings.parameters["imageSize"],
        "classes": list(key.CLASSES),
        "metrics": {name: measured[name] for name in TEST_METRICS} | {"valAccuracy": training["valAccuracy"]},
        "stoppedBy": training["stoppedBy"],
        "createdAt": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "lineage": {
            "rawHash": settings.raw_hash,
            "dataVersion": data_version(settings),
            "parameters": settings.parameters,
            "image": settings.image,
            "gitCommit": settings.git_commit,
            "trainingRun": settings.run,
            "trainingRunUid": settings.run_uid,
            "mlflowRunId": tracked.run_id,
            "mlflowRunUrl": tracked.url,
            "mlflowMissed": tracked.missed,
        },
    }


def summary(described: dict[str, Any], bucket: str) -> dict[str, Any]:
    """What the termination message says of a published model."""
    lineage = described["lineage"]
    return {
        "uri": key.uri(bucket, f"{key.model_prefix(described['version'])}model.pt"),
        "sha256": described["sha256"],
        "version": described["version"],
        "dataVersion": lineage["dataVersion"],
        "stoppedBy": described["stoppedBy"],
        **{name: described["metrics"][name] for name in TEST_METRICS},
        "mlflowRunId": lineage["mlflowRunId"],
        "mlflowRunUrl": lineage["mlflowRunUrl"],
    }


def _track(settings: Settings) -> tracking.Tracked:
    repo = settings.repo
    training, measured = read_json(repo / TRAINING), read_json(repo / EVALUATION / "metrics.json")
    figures = {name: value for name, value in measured.items() if isinstance(value, int | float)}
    tags = {
        "trainingRun": settings.run,
        "trainingRunUid": settings.run_uid,
        "version": settings.version,
        "dataVersion": data_version(settings),
        "rawHash": settings.raw_hash,
        "image": settings.image,
        "gitCommit": settings.git_commit,
        "modelUri": key.uri(settings.bucket, f"{key.model_prefix(settings.version)}model.pt"),
        "modelSha256": training["sha256"],
        "stoppedBy": training["stoppedBy"],
    }
    pictures: list[Path] = sorted((repo / EVALUATION).glob("*.png"))
    tracked = tracking.track(
        settings.mlflow_uri,
        settings.run or settings.version,
        settings.parameters,
        training["history"],
        figures,
        {name: value for name, value in tags.items() if value},
        [*pictures, repo / EDA / "report.html"],
    )
    if tracked.missed:
        print(f"evaluate: not all is in MLflow: {tracked.missed}", flush=True)
    return tracked
