"""The five stages of a training pod against a real object store: what they publish, and what they say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from catsdogs import key
from catsdogs import model as models
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import stage as stages
from tests.workloads.pod.conftest import IMAGE, PARAMETERS, Pod, Store, pod


def test_each_stage_says_what_it_did(finished: tuple[Pod, dict[str, Any]]) -> None:
    run, said = finished
    data_version, model = said["ingest"]["dataVersion"], said["evaluate"]

    assert said["ingest"] == {
        "dataVersion": data_version,
        "accepted": 120,
        "rejected": 0,
        "train": said["preprocess"]["train"],
        "val": said["preprocess"]["val"],
        "test": said["preprocess"]["test"],
    }
    assert said["train"].keys() == {"epochs", "bestEpoch", "valAccuracy", "stoppedBy", "seconds"}
    assert (said["train"]["epochs"], said["train"]["stoppedBy"]) == (2, "epochs")
    assert model["uri"] == f"gs://photos/models/cats-dogs/{run.version}/model.pt"
    assert (model["version"], model["dataVersion"]) == (run.version, data_version)
    assert 0 <= model["testAccuracyLow"] <= model["testAccuracy"] <= model["testAccuracyHigh"] <= 1
    assert (model["testCount"], model["mlflowRunId"]) == (said["ingest"]["test"], "")


def test_the_model_is_published_with_its_lineage(store: Store, finished: tuple[Pod, dict[str, Any]]) -> None:
    run, _ = finished
    prefix = key.model_prefix(run.version)
    described = json.loads(store.read("photos", f"{prefix}model.json"))
    weights = store.read("photos", f"{prefix}model.pt")
    lineage = described["lineage"]

    assert {"dvc.lock", "evaluation/metrics.json", "model.json", "model.pt"} <= set(store.objects("photos", prefix))
    assert (described["sha256"], described["size"]) == (hashlib.sha256(weights).hexdigest(), len(weights))
    assert (described["classes"], described["imageSize"], described["architecture"]) == (
        ["cat", "dog"],
        32,
        "SimpleCNN",
    )
    assert lineage["parameters"] == key.checked_parameters(PARAMETERS)
    assert (lineage["rawHash"], lineage["image"], lineage["gitCommit"], lineage["trainingRun"]) == (
        run.environment["CATSDOGS_RAW_HASH"],
        IMAGE,
        "c0ffee",
        "cats-dogs/test",
    )


def test_the_published_model_answers(store: Store, finished: tuple[Pod, dict[str, Any]], tmp_path: Path) -> None:
    run, said = finished
    file = tmp_path / "model.pt"
    file.write_bytes(store.read("photos", f"{key.model_prefix(run.version)}model.pt"))

    module, metadata = models.load(file, said["evaluate"]["sha256"])

    assert metadata.keys() == {"architecture", "imageSize", "classes", "temperature"}
    assert sum(value.numel() for value in module.parameters()) > 10_000


def test_the_data_is_published_and_checkpoints_are_gone(store: Store, finished: tuple[Pod, dict[str, Any]]) -> None:
    run, said = finished
    data = key.DATASETS_PREFIX + said["ingest"]["dataVersion"] + "/"

    assert {
        "ingested/manifest.json",
        "ingested/shard-00000.tar",
        "processed/manifest.json",
        "processed/train.npy",
        "eda/report.html",
        "eda/summary.json",
    } <= set(store.objects("photos", data))
    assert store.objects("photos", key.checkpoint_prefix(run.version)) == []


def test_another_pod_takes_the_data_from_the_cache_and_keeps_the_first_model(
    store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], tmp_path: Path
) -> None:
    first, said = finished
    again = pod(store, photos, tmp_path / "work")
    before = store.read("photos", f"{key.model_prefix(first.version)}model.json")

    for stage in key.STAGES:
        code, message, log = again.run(stage)

        assert (code, message["reused"], message["summary"]) == (0, True, said[stage]), log
        assert not (again.work / "repo/.catsdogs/pid.json").exists(), "the stage was computed again"
    assert store.read("photos", f"{key.model_prefix(first.version)}model.json") == before


def test_a_rerun_trains_anew_and_publishes_a_version_of_its_own(
    store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], tmp_path: Path
) -> None:
    first, said = finished
    before = store.read("photos", f"{key.model_prefix(first.version)}model.json")
    version = key.version(first.environment["CATSDOGS_RAW_HASH"], PARAMETERS, IMAGE, "u2")
    again = pod(store, photos, tmp_path / "work")
    again.environment.update(CATSDOGS_RERUN="u2", CATSDOGS_VERSION=version, CATSDOGS_RUN_UID="u2")

    results = {stage: again.run(stage) for stage in key.STAGES}

    assert {stage: code for stage, (code, _, _) in results.items()} == dict.fromkeys(key.STAGES, 0)
    computed = [stage for stage, (_, message, _) in results.items() if not message["reused"]]
    # Weights that come out the same are evaluated already.
    assert computed == ["train"]
    assert results["evaluate"][1]["summary"]["sha256"] == said["evaluate"]["sha256"]
    described = json.loads(store.read("photos", f"{key.model_prefix(version)}model.json"))
    assert (described["version"], described["lineage"]["rerunOf"]) == (version, first.version)
    assert store.read("photos", f"{key.model_prefix(first.version)}model.json") == before


def test_what_a_pod_finished_before_it_was_taken_away_is_pulled_by_the_next(
    store: Store, drawings: Path, tmp_path: Path
) -> None:
    store.fill("taken", drawings)
    first, second = pod(store, "taken", tmp_path / "first"), pod(store, "taken", tmp_path / "second")

    computed = [first.run(stage)[1] for stage in ("ingest", "preprocess")]
    pulled = [second.run(stage)[1] for stage in ("ingest", "preprocess", "eda")]

    assert [message["reused"] for message in computed] == [False, False]
    assert [message["reused"] for message in pulled] == [True, True, False]
    assert [message["summary"] for message in pulled[:2]] == [message["summary"] for message in computed]


def test_a_cache_that_does_not_take_it_ends_no_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def deaf(_: Any) -> None:
        raise StageError(Exit.UNAVAILABLE, "no answer", "wait")

    monkeypatch.setattr(stages, "push", deaf)
    stages.keep(None, "ingest")  # type: ignore[arg-type]

    line = json.loads(capsys.readouterr().out)
    assert line.pop("time")
    assert line == {"severity": "WARNING", "stage": "ingest", "message": "not kept for another pod: no answer"}
