"""What a run inherits from the versions in the bucket, whatever order they were published in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from catsdogs import key
from catsdogs.pipeline import previous
from catsdogs.pipeline.workspace import PREVIOUS, read_json
from tests.workloads.pod.conftest import Store


@pytest.fixture
def bucket(store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"inherits-{request.node.name.replace('_', '-')[:50]}"
    store.client.create_bucket(name)
    store.put(name, f"{key.RAW_PREFIX}Cat/1.jpg", b"raw")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    monkeypatch.setenv("CATSDOGS_BUCKET", name)
    return name


def publish(store: Store, bucket: str, version: str, raw_hash: str, inherited: Any, splits: dict[str, str]) -> None:
    """The files of a version that tell what its successors inherit, EDA last."""
    photos = [{"sha256": sha256, "split": split} for sha256, split in splits.items()]
    names = {"dataVersion": version, "rawHash": raw_hash}
    for path, content in {
        "ingested/previous.json": inherited,
        "ingested/manifest.json": {**names, "photos": photos},
        "eda/summary.json": {**names, "brightness": 0.5},
    }.items():
        store.put(bucket, f"{key.DATASETS_PREFIX}{version}/{path}", json.dumps(content).encode())


def inherited(raw_hash: str, tmp_path: Path) -> Any:
    previous.write(raw_hash, tmp_path)
    return read_json(tmp_path / PREVIOUS)


def test_the_newest_other_version_is_inherited_from(store: Store, bucket: str, tmp_path: Path) -> None:
    publish(store, bucket, "bbb", "r1", previous.NONE, {"a": "train", "gone": "test"})
    publish(store, bucket, "aaa", "r2", {"photos": {"a": "train", "gone": "test"}}, {"a": "train", "b": "val"})

    assert inherited("r3", tmp_path) == {
        "inheritedFrom": "aaa",
        "photos": {"a": "train", "b": "val", "gone": "test"},
        "summary": {"dataVersion": "aaa", "rawHash": "r2", "brightness": 0.5},
    }


def test_the_same_photographs_inherit_what_they_did_before(store: Store, bucket: str, tmp_path: Path) -> None:
    first = {"inheritedFrom": "000", "photos": {"a": "train"}, "summary": None}
    publish(store, bucket, "aaa", "r1", first, {"a": "train"})
    publish(store, bucket, "bbb", "r2", previous.NONE, {"a": "train", "b": "val"})

    assert inherited("r1", tmp_path) == first


def test_a_half_published_version_is_not_inherited_from(store: Store, bucket: str, tmp_path: Path) -> None:
    publish(store, bucket, "aaa", "r1", previous.NONE, {"a": "train"})
    publish(store, bucket, "bbb", "r2", previous.NONE, {"a": "test"})
    store.client.bucket(bucket).delete_blob(f"{key.DATASETS_PREFIX}bbb/eda/summary.json")

    assert inherited("r3", tmp_path)["inheritedFrom"] == "aaa"


def test_without_versions_nothing_is_inherited(bucket: str, tmp_path: Path) -> None:
    assert inherited("r1", tmp_path) == {"inheritedFrom": None, "photos": {}, "summary": None}
