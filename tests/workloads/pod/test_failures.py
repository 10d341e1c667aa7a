"""How a stage of the pod fails: one line, a hint, and an exit code that says whether a retry can help."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from catsdogs import key
from tests.workloads.pod.conftest import Pod, Store, pod, said


def failure(exit_code: int, reason: str, message: str, hint: str) -> tuple[int, dict[str, Any]]:
    said = {"stage": "ingest", "ok": False, "reason": reason, "message": message, "hint": hint}
    return exit_code, {**said, "exitCode": exit_code}


def test_a_missing_bucket(store: Store, photos: str, tmp_path: Path) -> None:
    code, message, log = pod(store, photos, tmp_path / "work").run("ingest", CATSDOGS_BUCKET="nowhere")

    assert (code, message["reason"]) == (66, "BucketNotFound")
    assert message["message"].startswith("gs://nowhere is not there: ")
    assert message["hint"] == "create the bucket, or name another one in spec.bucket"
    assert log.count("\n") == 1


def test_no_photographs(store: Store, tmp_path: Path) -> None:
    store.client.create_bucket("empty")

    code, message, _ = pod(store, "empty", tmp_path / "work").run("ingest")

    assert (code, message) == failure(
        65,
        "DataError",
        "gs://empty/datasets/cats-dogs/raw/ holds no photographs",
        "put them there as Cat/NAME.jpg and Dog/NAME.jpg",
    )


def test_one_class_alone(store: Store, drawings: Path, tmp_path: Path) -> None:
    store.fill("cats", drawings, "Cat/*.jpg")

    code, message, _ = pod(store, "cats", tmp_path / "work").run("ingest")

    assert "ingest: the raw folder holds no usable dog photograph\n" in message.pop("log")
    assert (code, message) == failure(
        65, "DataError", "the raw folder holds no usable dog photograph", "put photographs into Dog/"
    )


def test_photographs_that_changed_since_the_run_was_made(store: Store, photos: str, tmp_path: Path) -> None:
    code, message, _ = pod(store, photos, tmp_path / "work").run("ingest", CATSDOGS_RAW_HASH="0" * 64)

    assert (code, message["reason"]) == (67, "DataChanged")
    assert message["hint"] == "create a new TrainingRun for the photographs as they are now"


def test_a_version_that_is_not_of_these_inputs(store: Store, photos: str, tmp_path: Path) -> None:
    run = pod(store, photos, tmp_path / "work")

    code, message, _ = run.run("ingest", CATSDOGS_VERSION="0" * 12)

    assert (code, message) == failure(
        67,
        "DataChanged",
        f"these photographs, parameters and image make version {run.version}, not 000000000000",
        "use an operator and a trainer image of the same release",
    )


def test_a_parameter_out_of_range(store: Store, photos: str, tmp_path: Path) -> None:
    run = pod(store, photos, tmp_path / "work")

    code, message, _ = run.run("ingest", CATSDOGS_PARAMETERS=json.dumps({"epochs": 0}))

    assert (code, message) == failure(
        78,
        "ConfigError",
        "CATSDOGS_PARAMETERS: parameters.epochs: 0 is not an integer from 1 to 500",
        "the operator sets this; by hand, set it as the Job's pod template does",
    )


def test_sigterm_saves_a_checkpoint_and_the_next_pod_goes_on(store: Store, photos: str, tmp_path: Path) -> None:
    run = pod(store, photos, tmp_path / "work", epochs=400)
    for stage in ("ingest", "preprocess"):
        assert run.run(stage)[0] == 0
    process = run.start("train")
    epoch = wait_for_epoch(run, 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert (process.returncode, run.message()["reason"]) == (143, "Terminated")
    assert store.objects(photos, key.checkpoint_prefix(run.version)) == ["checkpoint.pt"]

    (run.work / "repo/model/checkpoint.pt").write_bytes(b"damaged")  # the bucket's copy is whole
    process = run.start("train")
    after = wait_for_epoch(run, epoch + 1)
    process.send_signal(signal.SIGTERM)
    log = said(process.communicate(timeout=60)[0])

    assert "train: model/checkpoint.pt is damaged and is left aside\ntrain: goes on after epoch" in log
    assert after > epoch


def wait_for_epoch(run: Pod, epoch: int) -> int:
    """Poll the progress as the operator does, until an epoch is through."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            answer = requests.get(f"http://127.0.0.1:{run.environment['CATSDOGS_PORT']}/progress", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
            continue
        assert len(answer.content) <= 1024
        reported = answer.json()
        assert reported["stage"] == "train"
        if reported.get("epoch", 0) >= epoch:
            return int(reported["epoch"])
        time.sleep(0.1)
    pytest.fail(f"no epoch {epoch} within two minutes")
