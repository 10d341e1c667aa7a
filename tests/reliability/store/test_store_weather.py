"""Runs through a store that spoils one request in twelve, of every kind: each ends well or with one clear error,
and what is in the bucket after another try is whole."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from catsdogs import key
from tests.workloads.pod.conftest import Store, pod
from tests.workloads.pod.faults import Fault, Plan, proxy

FAULTS = (
    Fault("status", 429),
    Fault("status", 503),
    Fault("status", 500),
    Fault("reset"),
    Fault("lost"),
    Fault("cut"),
    Fault("slow", 2),
)
SHARE = 1 / 12
CAN_RETRY = (74, 75)  # exit codes after which the Job tries again


def weather(seed: int) -> Plan:
    """Faults by chance, the same for the same seed as far as requests come in the same order."""
    chance = random.Random(seed)
    return lambda number, request: chance.choice(FAULTS) if chance.random() < SHARE else None


@pytest.mark.parametrize("seed", range(5))
def test_a_run_in_bad_weather(store: Store, drawings: Path, tmp_path: Path, seed: int) -> None:
    bucket = f"weather-{seed}"
    store.fill(bucket, drawings)
    run = pod(store, bucket, tmp_path / "work")
    with proxy(store.endpoint, weather(seed)) as spoilt:
        for stage in key.STAGES:
            code, message, log = run.run(stage, STORAGE_EMULATOR_HOST=spoilt.endpoint)
            if code:
                assert code in CAN_RETRY, f"{message}\n{log}"
                assert run.run(stage)[0] == 0  # the pod's next try, in better weather
    assert spoilt.spoilt, "the weather was fine"

    described = json.loads(store.read(bucket, key.model_prefix(run.version) + "model.json"))
    weights = store.read(bucket, key.model_prefix(run.version) + "model.pt")
    assert hashlib.sha256(weights).hexdigest() == described["sha256"]
    for folder in ("ingested", "processed", "eda"):
        prefix = key.data_prefix(described["lineage"]["dataVersion"], folder)
        local = {
            file.relative_to(run.work / f"repo/data/{folder}").as_posix(): file.read_bytes()
            for file in (run.work / f"repo/data/{folder}").rglob("*")
            if file.is_file()
        }
        assert {name: store.read(bucket, prefix + name) for name in store.objects(bucket, prefix)} == local
    for name in store.objects(bucket, "dvc/files/md5/"):
        content = store.read(bucket, f"dvc/files/md5/{name}")
        assert name.replace("/", "").removesuffix(".dir") == hashlib.md5(content).hexdigest()
