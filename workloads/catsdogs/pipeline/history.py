"""Finished runs read back, from a workspace or from a bucket: parameters, metrics, curves, lineage.
It must not change anything, and must not import torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import data_error
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.workspace import (
    EVALUATION,
    INGESTED,
    PARAMS,
    TRAINING,
    read_json,
    read_parameters,
)

METRICS = EVALUATION / "metrics.json"


@dataclass(frozen=True)
class Run:
    """One finished run; `curves` has a dict an epoch, as training.json's history."""

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    lineage: Mapping[str, Any]
    curves: list[dict[str, Any]] = field(default_factory=list)


def load(name: str, bucket: str) -> Run:
    """The run of a workspace folder, or of a version in `bucket`. Raises StageError 65 when it is neither."""
    folder = Path(name)
    if (folder / METRICS).is_file():
        return from_workspace(folder)
    if not bucket:
        raise data_error(
            f"{name}: no workspace with a measured model", "name a folder of catsdogs run, or give --bucket"
        )
    return from_bucket(bucket, name)


def from_workspace(folder: Path) -> Run:
    """The run whose results lie in a workspace."""
    training, manifest = read_json(folder / TRAINING), read_json(folder / INGESTED / "manifest.json")
    lineage = {"rawHash": manifest["rawHash"], "dataVersion": manifest["dataVersion"], "sha256": training["sha256"]}
    return Run(
        str(folder), read_parameters(folder / PARAMS), read_json(folder / METRICS), *_training(training, lineage)
    )


def from_bucket(bucket_name: str, version: str) -> Run:
    """The run of a published version; its curves come from the DVC remote, by the version's own dvc.lock."""
    bucket, prefix = store.open_bucket(bucket_name), key.model_prefix(version)
    described = published(bucket, version)
    metrics = store.download_if_there(bucket, f"{prefix}evaluation/{METRICS.name}")
    lock = lock_of(bucket, version)
    digest = outs_of(lock).get(TRAINING.as_posix(), "")
    training = store.download_if_there(bucket, cache_path(digest)) if digest else None
    lineage = described["lineage"]
    about = {name: value for name, value in lineage.items() if name != "parameters"}
    return Run(
        version,
        lineage["parameters"],
        json.loads(metrics) if metrics else described["metrics"],
        *_training(json.loads(training) if training else {}, {**about, "sha256": described["sha256"]}),
    )


def _training(
    training: Mapping[str, Any], lineage: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any], list[dict[str, Any]]]:
    """Facts of the training, lineage, curves."""
    facts = {name: value for name, value in training.items() if name not in ("history", "sha256")}
    return facts, lineage, list(training.get("history", []))


def published(bucket: Any, version: str) -> dict[str, Any]:
    """model.json of a version. Raises StageError 65 when there is no such version."""
    path = f"{key.model_prefix(version)}model.json"
    content = store.download_if_there(bucket, path)
    if content is None:
        raise data_error(
            f"{key.uri(bucket.name, path)} is not there", f"catsdogs versions --bucket {bucket.name} lists them"
        )
    return dict(json.loads(content))


def lock_of(bucket: Any, version: str) -> dict[str, Any]:
    """The stages of a version's dvc.lock, {} when it has none."""
    import yaml

    content = store.download_if_there(bucket, f"{key.model_prefix(version)}dvc.lock")
    return {} if content is None else dict(yaml.safe_load(content)["stages"])


def outs_of(lock: Mapping[str, Any]) -> dict[str, str]:
    """Path: MD5 (with ".dir" for a folder) of everything that the stages of a dvc.lock made."""
    return {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}


def cache_path(digest: str) -> str:
    """Where DVC's remote keeps the content of an MD5."""
    return f"{key.DVC_PREFIX}/files/md5/{digest[:2]}/{digest[2:]}"
