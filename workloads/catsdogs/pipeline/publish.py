"""Publish: what a stage made becomes a version in the bucket, whole or not at all.
It must not overwrite a published version: the file that closes one is written last, and once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import commit, tracking
from catsdogs.pipeline.settings import Settings
from catsdogs.pipeline.workspace import (
    EDA,
    EVALUATION,
    INGESTED,
    MODEL,
    PROCESSED,
    STATE,
    TRAINING,
    read_json,
)

TEST_METRICS = ("testAccuracy", "testAccuracyLow", "testAccuracyHigh", "testCount")
LOSSES = ("testLoss", "testLossLow", "testLossHigh", "rocAuc", "rocAucLow", "rocAucHigh")
METRICS = (*TEST_METRICS, *LOSSES, "temperature", "calibrationError", "perClass", "confusion")
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
    """Track the run, send all to models/cats-dogs/VERSION/ and register it; returns the stage's summary.

    When another run of the same key was first, its version stays and is what the summary tells.
    """
    bucket, work = store.open_bucket(settings.bucket), settings.repo / STATE / "publish"
    work.mkdir(parents=True, exist_ok=True)
    described = commit.finish(bucket, settings.version, work)  # what an earlier pod began, or another run did
    if described is None:
        described = describe(settings, _track(settings))
        described = commit.publish(bucket, settings.version, _files(settings), described, work)
    missed = described["lineage"]["mlflowMissed"] or _register(settings, bucket, described, work)
    if missed:
        print(f"evaluate: not all is in MLflow: {missed}", flush=True)
    store.delete_folder(bucket, key.checkpoint_prefix(settings.version))
    return summary(described, settings.bucket, missed)


def _files(settings: Settings) -> dict[str, Path]:
    """What a version holds beside model.json, by its path there."""
    repo = settings.repo
    evaluation = {f"evaluation/{file.name}": file for file in sorted((repo / EVALUATION).iterdir())}
    return {"model.pt": repo / MODEL, "dvc.lock": repo / "dvc.lock", **evaluation}


def describe(settings: Settings, tracked: tracking.Tracked) -> dict[str, Any]:
    """The content of model.json: digest, metrics with their intervals, sanity checks, lineage."""
    repo = settings.repo
    training, measured = read_json(repo / TRAINING), read_json(repo / EVALUATION / "metrics.json")
    return {
        "version": settings.version,
        "sha256": training["sha256"],
        "size": (repo / MODEL).stat().st_size,
        "architecture": settings.parameters["architecture"],
        "imageSize": settings.parameters["imageSize"],
        "classes": list(key.CLASSES),
        "metrics": {name: measured[name] for name in METRICS} | {"valAccuracy": training["valAccuracy"]},
        "sanity": measured["sanity"],
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
            **({"rerunOf": plain_version(settings)} if settings.rerun else {}),
        },
    }


def plain_version(settings: Settings) -> str:
    """The version that the same photographs, parameters and image have where nobody asked to train them anew."""
    return key.version(settings.raw_hash, settings.parameters, settings.image)


def summary(described: dict[str, Any], bucket: str, missed: str) -> dict[str, Any]:
    """What the termination message says of a published model, and of what MLflow did not get."""
    lineage = described["lineage"]
    return {
        "uri": key.uri(bucket, f"{key.model_prefix(described['version'])}model.pt"),
        "sha256": described["sha256"],
        "version": described["version"],
        "dataVersion": lineage["dataVersion"],
        "stoppedBy": described["stoppedBy"],
        **{name: described["metrics"][name] for name in (*TEST_METRICS, *LOSSES, "calibrationError")},
        "warnings": described["sanity"]["warnings"],
        "trainingRun": lineage["trainingRun"],
        "gitCommit": lineage["gitCommit"],
        "mlflowRunId": lineage["mlflowRunId"],
        "mlflowRunUrl": lineage["mlflowRunUrl"],
        **({"mlflowMissed": missed} if missed else {}),
    }


def _track(settings: Settings) -> tracking.Tracked:
    repo = settings.repo
    training, measured = read_json(repo / TRAINING), read_json(repo / EVALUATION / "metrics.json")
    version = data_version(settings)
    tags = {
        "trainingRun": settings.run,
        "dataVersion": version,
        "rawHash": settings.raw_hash,
        "image": settings.image,
        "gitCommit": settings.git_commit,
        "stoppedBy": training["stoppedBy"],
        "warnings": "; ".join(measured["sanity"]["warnings"]),
        # What MLflow's own pages show as the run's source.
        "mlflow.source.type": "JOB",
        "mlflow.source.name": settings.image,
        "mlflow.source.git.commit": settings.git_commit,
    }
    identity = {"trainingRunUid": settings.run_uid, "version": settings.version}
    evaluation = sorted((repo / EVALUATION).iterdir())
    record = tracking.Record(
        name=settings.run or settings.version,
        identity={name: value for name, value in identity.items() if value},
        tags={name: value for name, value in tags.items() if value},
        parameters=settings.parameters,
        history=training["history"],
        figures=figures(measured),
        dataset=("cats-dogs", version, key.uri(settings.bucket, key.data_prefix(version, "ingested"))),
        artifacts={
            "evaluation": evaluation,
            "eda": [repo / EDA / "report.html", repo / EDA / "summary.json"],
            "lineage": [repo / "dvc.lock"],
        },
    )
    return tracking.track(settings.mlflow_uri, record)


def figures(measured: dict[str, Any]) -> dict[str, float]:
    """The numbers of metrics.json by name, those of a class or a check as "test/cat/f1" and "sanity/permutationP"."""
    classes = {f"test/{label}": content for label, content in measured["perClass"].items()}
    groups = {"": measured, **classes, "sanity": measured["sanity"]}
    return {
        f"{group}/{name}".lstrip("/"): value
        for group, content in groups.items()
        for name, value in content.items()
        if isinstance(value, int | float)
    }


def _register(settings: Settings, bucket: Any, described: dict[str, Any], work: Path) -> str:
    """Make the published model a version in MLflow, if it is of this very run; returns what was missed."""
    lineage, prefix = described["lineage"], key.model_prefix(settings.version)
    if lineage["trainingRunUid"] != settings.run_uid or not lineage["mlflowRunId"]:
        return ""
    # From the bucket: after a restart the files here may be of another training than those that were published.
    for name in ("model.pt", "model.json"):
        (work / name).write_bytes(store.download(bucket, prefix + name))
    measured, uri = described["metrics"], key.uri(settings.bucket, f"{prefix}model.pt")
    text = (
        f"{measured['testAccuracy']:.1%} of {measured['testCount']} test photographs right (95 % interval "
        f"{measured['testAccuracyLow']:.1%} to {measured['testAccuracyHigh']:.1%}). {uri}"
    )
    tags = {"modelUri": uri, "modelSha256": described["sha256"], "trainingRun": settings.run}
    files = [work / "model.pt", work / "model.json"]
    return tracking.register(settings.mlflow_uri, lineage["mlflowRunId"], files, tags, text)
