"""A model's version in a real bucket: one and whole, whoever else publishes it and wherever a run is killed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from catsdogs import key
from catsdogs.pipeline import publish
from catsdogs.pipeline.settings import Settings, from_environment
from catsdogs.pipeline.workspace import EDA, EVALUATION, INGESTED, MODEL, TRAINING, write_json
from tests.workloads.pod.conftest import Store, free_port
from tests.workloads.pod.faults import Fault, proxy, rules

EVERY = range(10_000)
FILES = ["dvc.lock", "evaluation/metrics.json", "evaluation/roc.png"]
UPLOAD, COPY = "POST /upload", "POST .*(copyTo|rewriteTo)"
ENTRY = {"trainLoss": 0.6, "valLoss": 0.6, "valAccuracy": 0.7, "learningRate": 0.002, "seconds": 9.0}
HISTORY = [{"epoch": epoch, "timestamp": 1_700_000_000_000 + epoch, **ENTRY} for epoch in (1, 2)]
MEASURED = {
    "testAccuracy": 0.7204,
    "testAccuracyLow": 0.665,
    "testAccuracyHigh": 0.7698,
    "testCount": 279,
    "testLoss": 0.5654,
    "testLossLow": 0.5272,
    "testLossHigh": 0.6035,
    "rocAuc": 0.8002,
    "rocAucLow": 0.7517,
    "rocAucHigh": 0.8463,
    "temperature": 1.1388,
    "calibrationError": 0.11,
    "perClass": {"cat": {"f1": 0.7132}, "dog": {"f1": 0.7273}},
    "confusion": [[97, 48], [30, 104]],
    "reliability": [],
    "sanity": {"permutationP": 1e-12, "warnings": []},
}


@dataclass(frozen=True)
class Run:
    """One run's workspace and environment, as after its training: `weights` are its model's bytes."""

    environment: dict[str, str]
    weights: bytes

    @property
    def settings(self) -> Settings:
        return from_environment(self.environment)

    def start(self, endpoint: str) -> subprocess.Popen[str]:
        """A process that publishes and prints its summary."""
        code = (
            "import json; from catsdogs.pipeline import publish, settings;"
            "print(json.dumps(publish.model(settings.from_environment())))"
        )
        environment = {**os.environ, **self.environment, "STORAGE_EMULATOR_HOST": endpoint}
        return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def bucket(store: Store) -> str:
    store.client.create_bucket("published")
    return "published"


def run(bucket: str, work: Path, version: str, weights: str, uid: str = "u1") -> Run:
    """A run that trained to these weights; all of its files tell whose they are."""
    repo, content = work / "repo", weights.encode() * 1000
    for folder in (EVALUATION, EDA, INGESTED):
        (repo / folder).mkdir(parents=True)
    (repo / MODEL).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    training = {"sha256": sha256, "valAccuracy": 0.7, "stoppedBy": "time", "history": HISTORY}
    write_json(repo / TRAINING, training)
    write_json(repo / EVALUATION / "metrics.json", {**MEASURED, "of": sha256})
    (repo / EVALUATION / "roc.png").write_text(sha256)
    (repo / "dvc.lock").write_text(sha256)
    write_json(repo / INGESTED / "manifest.json", {"dataVersion": "d1"})
    write_json(repo / EDA / "summary.json", {})
    (repo / EDA / "report.html").write_text("<html>")
    environment = {
        "CATSDOGS_BUCKET": bucket,
        "CATSDOGS_VERSION": version,
        "CATSDOGS_RAW_HASH": "a" * 64,
        "CATSDOGS_PARAMETERS": "{}",
        "CATSDOGS_IMAGE": "registry.example/trainer@sha256:" + "b" * 64,
        "CATSDOGS_RUN": "cats-dogs/test",
        "CATSDOGS_RUN_UID": uid,
        "CATSDOGS_GIT_COMMIT": "c0ffee",
        "CATSDOGS_WORK": str(work),
    }
    return Run(environment, content)


def owner(store: Store, bucket: str, version: str) -> bytes:
    """The weights of a version, of which every file must be of the same run, and nothing else be left."""
    prefix = key.model_prefix(version)
    assert store.objects(bucket, prefix) == [*FILES, "model.json", "model.pt"]
    weights = store.read(bucket, f"{prefix}model.pt")
    sha256 = hashlib.sha256(weights).hexdigest()
    assert json.loads(store.read(bucket, f"{prefix}model.json"))["sha256"] == sha256
    assert json.loads(store.read(bucket, f"{prefix}evaluation/metrics.json"))["of"] == sha256
    assert store.read(bucket, f"{prefix}evaluation/roc.png").decode() == sha256
    assert store.read(bucket, f"{prefix}dvc.lock").decode() == sha256
    assert store.objects(bucket, key.checkpoint_prefix(version)) == []
    return weights


def test_a_version_says_what_it_is_and_where_it_comes_from(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    mine = run(bucket, tmp_path, "whole", "mine")
    said = publish.model(mine.settings)
    described = json.loads(store.read(bucket, f"{key.model_prefix('whole')}model.json"))
    sha256 = hashlib.sha256(mine.weights).hexdigest()
    kept = ("temperature", "perClass", "confusion", "reliability", "sanity")
    test = {name: value for name, value in MEASURED.items() if name not in kept}

    assert owner(store, bucket, "whole") == mine.weights
    assert described.pop("createdAt").endswith("+00:00")
    assert described == {
        "version": "whole",
        "sha256": sha256,
        "size": 4000,
        "architecture": "SimpleCNN",
        "imageSize": 96,
        "classes": ["cat", "dog"],
        "metrics": {name: value for name, value in MEASURED.items() if name not in ("reliability", "sanity")}
        | {"valAccuracy": 0.7},
        "sanity": {"permutationP": 1e-12, "warnings": []},
        "stoppedBy": "time",
        "lineage": {
            "rawHash": "a" * 64,
            "dataVersion": "d1",
            "parameters": key.checked_parameters({}),
            "image": "registry.example/trainer@sha256:" + "b" * 64,
            "gitCommit": "c0ffee",
            "trainingRun": "cats-dogs/test",
            "trainingRunUid": "u1",
            "mlflowRunId": "",
            "mlflowRunUrl": "",
            "mlflowMissed": "no MLFLOW_TRACKING_URI",
        },
    }
    assert said == {
        "uri": "gs://published/models/cats-dogs/whole/model.pt",
        "sha256": sha256,
        "version": "whole",
        "dataVersion": "d1",
        "stoppedBy": "time",
        **test,
        "warnings": [],
        "trainingRun": "cats-dogs/test",
        "gitCommit": "c0ffee",
        "mlflowRunId": "",
        "mlflowRunUrl": "",
        "mlflowMissed": "no MLFLOW_TRACKING_URI",
    }


def test_many_runs_of_a_key_at_once_end_with_one_version(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    runs = [run(bucket, tmp_path / str(number), "many", f"run{number}", f"u{number}") for number in range(6)]
    together, summaries = threading.Barrier(len(runs)), []

    def work(one: Run) -> None:
        together.wait()
        summaries.append(publish.model(one.settings))

    threads = [threading.Thread(target=work, args=(one,)) for one in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    weights = owner(store, bucket, "many")
    assert weights in [one.weights for one in runs]
    assert [said["sha256"] for said in summaries] == [hashlib.sha256(weights).hexdigest()] * len(runs)


def test_a_run_that_comes_between_any_two_requests_of_another_spoils_nothing(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one publishes as a whole just before the first one's request 0, 1, 2, ... until none is left."""
    intruded, winners = True, set()
    at = 0
    while intruded:
        first, other = (run(bucket, tmp_path / f"{at}{who}", f"between-{at}", who, who) for who in ("first", "other"))
        intruded = False

        def intrude(number: int, _: str, other: Run = other, at: int = at) -> Fault | None:
            nonlocal intruded
            if number == at:
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
                publish.model(other.settings)
                intruded = True
            return None

        with proxy(store.endpoint, intrude) as between:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", between.endpoint)
            said = publish.model(first.settings)
        weights = owner(store, bucket, f"between-{at}")
        assert said["sha256"] == hashlib.sha256(weights).hexdigest()
        winners.add(weights[:5])
        at += 1
    assert at > 15
    assert winners == {b"first", b"other"}


@pytest.mark.parametrize(
    ("pattern", "which", "there", "winner"),
    [
        (UPLOAD, EVERY, [], "again"),
        (f"{COPY}.*model.pt", EVERY, FILES, "first"),
        (UPLOAD, range(5, 10_000), [*FILES, "model.pt"], "first"),
    ],
    ids=["while model.pt is sent", "while model.pt is put in its place", "before model.json"],
)
def test_a_killed_run_leaves_no_half_version_and_the_next_one_completes_it(
    store: Store,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    which: range,
    there: list[str],
    winner: str,
) -> None:
    version = f"killed-{len(there)}"
    prefix = key.model_prefix(version)
    first, again = (run(bucket, tmp_path / who, version, who) for who in ("first", "again"))
    with proxy(store.endpoint, rules((pattern, which, Fault("hang")))) as between:
        process = first.start(between.endpoint)
        assert between.hanging.wait(120)
        wait_until(lambda: set(there) <= set(store.objects(bucket, prefix)))
        process.kill()
        process.communicate()

    assert store.objects(bucket, prefix) == there
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    said = publish.model(again.settings)
    expected = {"first": first, "again": again}[winner]
    assert owner(store, bucket, version) == expected.weights
    assert said["sha256"] == hashlib.sha256(expected.weights).hexdigest()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what another process has begun already."""
    for _ in range(600):
        if true():
            return
        threading.Event().wait(0.05)
    pytest.fail("not within 30 s")


def test_the_published_model_is_the_candidate_and_a_pod_started_again_adds_nothing(
    store: Store, bucket: str, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    mine = replace(run(bucket, tmp_path, "tracked", "mine", "uid-tracked").settings, mlflow_uri=mlflow_server)
    said = publish.model(mine)
    again = publish.model(mine)
    client = MlflowClient(tracking_uri=mlflow_server)
    tracked = client.get_run(said["mlflowRunId"])
    [version] = client.search_model_versions(f"run_id = '{said['mlflowRunId']}'")

    assert "mlflowMissed" not in said
    assert again == said
    assert {
        name: tracked.data.tags[name] for name in ("trainingRun", "trainingRunUid", "version", "dataVersion", "rawHash")
    } == {
        "trainingRun": "cats-dogs/test",
        "trainingRunUid": "uid-tracked",
        "version": "tracked",
        "dataVersion": "d1",
        "rawHash": "a" * 64,
    }
    assert tracked.data.tags["mlflow.source.git.commit"] == tracked.data.tags["gitCommit"] == "c0ffee"
    assert (tracked.data.metrics["testAccuracy"], tracked.data.metrics["test/cat/f1"]) == (0.7204, 0.7132)
    assert version.tags == {"modelUri": said["uri"], "modelSha256": said["sha256"], "trainingRun": "cats-dogs/test"}
    assert client.get_model_version_by_alias("cats-dogs", "candidate").version == version.version
    file = client.download_artifacts(said["mlflowRunId"], "model/model.pt", str(tmp_path))
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == said["sha256"]


def test_an_mlflow_that_dies_before_the_model_is_registered_is_said(
    store: Store, bucket: str, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    mine = run(bucket, tmp_path, "half-tracked", "mine", "uid-half").settings
    dead = replace(mine, mlflow_uri=f"http://127.0.0.1:{free_port()}")
    with monkeypatch.context() as patch:
        tracked = publish._track(replace(mine, mlflow_uri=mlflow_server))
        patch.setattr(publish, "_track", lambda _: tracked)
        said = publish.model(dead)

    assert tracked.missed == ""
    assert said["mlflowRunId"] == tracked.run_id
    assert said["mlflowMissed"] == f"{dead.mlflow_uri}: ConnectionRefusedError: [Errno 111] Connection refused"
    assert "mlflowMissed" not in publish.model(replace(mine, mlflow_uri=mlflow_server))  # a later pod makes up for it
