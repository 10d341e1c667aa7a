"""What the operator itself writes: decisions in a real object store, each once, and the alias in a real MLflow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from catsdogs.pipeline import tracking as trainers
from mlops_operator import tracking
from mlops_operator.api.training_run import BucketFailure
from mlops_operator.bucket import Bucket
from tests.workloads.pod.conftest import Store
from tests.workloads.pod.test_tracking import record

A, B = "a" * 64, "b" * 64
ADDRESS = "gs://decisions/ledger/cats-dogs/pets/1.json"


def write(store: Store, monkeypatch: pytest.MonkeyPatch, address: str, entry: dict[str, Any]) -> BucketFailure | None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)

    async def once() -> BucketFailure | None:
        bucket = Bucket()
        try:
            return await bucket.write_once(address, entry)
        finally:
            await bucket.close()

    return asyncio.run(once())


def test_a_decision_is_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.client.create_bucket("decisions")
    assert write(store, monkeypatch, ADDRESS, {"number": 1, "outcome": "Served"}) is None
    assert write(store, monkeypatch, ADDRESS, {"number": 1, "outcome": "Refused"}) is None
    assert json.loads(store.read("decisions", "ledger/cats-dogs/pets/1.json")) == {"number": 1, "outcome": "Served"}


def test_a_missing_bucket_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = write(store, monkeypatch, "gs://nowhere/ledger/1.json", {})
    assert failure == BucketFailure("BucketNotFound", "Bucket gs://nowhere does not exist")


def test_the_alias_follows_what_serves(mlflow_server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=mlflow_server)
    for digest in (A, B):
        run = trainers.track(mlflow_server, record(tmp_path, f"champion-{digest[:4]}")).run_id
        assert trainers.register(mlflow_server, run, [], {"modelSha256": digest}, "a model") == ""
    for digest in (B, A):
        assert asyncio.run(tracking.set_champion(mlflow_server, digest)) == ""
        found = client.get_model_version_by_alias(tracking.MODEL, tracking.CHAMPION)
        assert found.tags["modelSha256"] == digest


def test_what_mlflow_does_not_know_is_said(mlflow_server: str) -> None:
    said = asyncio.run(tracking.set_champion(mlflow_server, "c" * 64))
    assert said == "MLflow knows no version of cats-dogs with the SHA-256 cccccccccccc"
    said = asyncio.run(tracking.set_champion("http://127.0.0.1:9", A))
    assert said.startswith("MLflow at http://127.0.0.1:9 does not take the alias: ClientConnectorError")
