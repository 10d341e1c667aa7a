"""What a real MLflow holds of a training, that nothing is there twice, and what a deaf one costs."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catsdogs.pipeline import tracking
from catsdogs.pipeline.tracking import Record, Tracked
from tests.workloads.pod.conftest import Store

HISTORY = [
    {
        "epoch": epoch,
        "trainLoss": 1 / epoch,
        "valLoss": 1.5 / epoch,
        "valAccuracy": 1 - 0.5 / epoch,
        "learningRate": 0.002,
        "seconds": 10.0 * epoch,
        "timestamp": 1_700_000_000_000 + 10_000 * epoch,
        "system": {"cpu_utilization_percentage": 90.0 + epoch, "process_memory_megabytes": 500.5},
    }
    for epoch in (1, 2, 3)
]


@pytest.fixture(autouse=True)
def _own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a delivery sets for its process, put back after the test."""
    for name, value in tracking.LIMITS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tracking, "PAUSE", 0.01)


@pytest.fixture
def client(mlflow_server: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_server)


def record(folder: Path, uid: str, **changed: Any) -> Record:
    (folder / "roc.png").write_bytes(b"a picture")
    (folder / "report.html").write_text("<html>a page</html>")
    whole = Record(
        name="cats-dogs/demo",
        identity={"trainingRunUid": uid, "version": "abc"},
        tags={"gitCommit": "c0ffee", "dataVersion": "d1"},
        parameters={"epochs": 3, "learningRate": "0.002"},
        history=HISTORY,
        figures={"testAccuracy": 0.8, "test/cat/f1": 0.75},
        dataset=("cats-dogs", "d1", "gs://b/datasets/cats-dogs/d1/ingested/"),
        artifacts={"evaluation": [folder / "roc.png"], "eda": [folder / "report.html"]},
    )
    return replace(whole, **changed)


def runs_of(client: Any, uid: str) -> list[Any]:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], f"tags.trainingRunUid = '{uid}'"))


def test_a_training_is_one_run_with_all_that_leads_back(
    store: Store, mlflow_server: str, client: Any, tmp_path: Path
) -> None:
    tracked = tracking.track(mlflow_server, record(tmp_path, "u1"))
    run = client.get_run(tracked.run_id)
    experiment = run.info.experiment_id

    url = f"{mlflow_server}/#/experiments/{experiment}/runs/{tracked.run_id}?workflowType=machine_learning"
    assert tracked == Tracked(tracked.run_id, url, missed="")
    assert (run.info.run_name, run.info.status, run.info.start_time) == (
        "cats-dogs/demo",
        "FINISHED",
        1_700_000_000_000,
    )
    assert run.data.params == {"epochs": "3", "learningRate": "0.002"}
    assert run.data.tags == {
        "trainingRunUid": "u1",
        "version": "abc",
        "gitCommit": "c0ffee",
        "dataVersion": "d1",
        "delivered": "whole",
        "mlflow.runName": "cats-dogs/demo",
    }
    assert run.data.metrics == {
        "epoch/trainLoss": pytest.approx(1 / 3),
        "epoch/valLoss": 0.5,
        "epoch/valAccuracy": pytest.approx(5 / 6),
        "epoch/learningRate": 0.002,
        "system/cpu_utilization_percentage": 93.0,
        "system/process_memory_megabytes": 500.5,
        "testAccuracy": 0.8,
        "test/cat/f1": 0.75,
    }
    losses = client.get_metric_history(tracked.run_id, "epoch/valLoss")
    assert [(metric.step, metric.value, metric.timestamp) for metric in losses] == [
        (1, 1.5, 1_700_000_010_000),
        (2, 0.75, 1_700_000_020_000),
        (3, 0.5, 1_700_000_030_000),
    ]
    [used] = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("cats-dogs", "d1")
    assert [file.path for file in client.list_artifacts(tracked.run_id)] == ["eda", "evaluation"]
    stored = store.objects("tracked", f"mlflow-artifacts/{experiment}/{tracked.run_id}/artifacts/")
    assert stored == ["eda/report.html", "evaluation/roc.png"]
    page = client.download_artifacts(tracked.run_id, "eda/report.html", str(tmp_path))
    assert Path(page).read_text() == "<html>a page</html>"


def test_a_pod_that_starts_again_after_the_delivery_makes_no_second_run(
    mlflow_server: str, client: Any, tmp_path: Path
) -> None:
    first = tracking.track(mlflow_server, record(tmp_path, "u2"))

    assert tracking.track(mlflow_server, record(tmp_path, "u2")) == first
    assert len(runs_of(client, "u2")) == 1
    other = tracking.track(mlflow_server, record(tmp_path, "u2", identity={"trainingRunUid": "u2", "version": "xyz"}))
    assert other.run_id != first.run_id


def test_what_a_broken_delivery_left_out_is_made_up_for(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    broken = record(tmp_path, "u3", artifacts={"evaluation": [tmp_path / "roc.png", tmp_path / "none.png"]})
    first = tracking.track(mlflow_server, broken)

    assert first.missed.startswith(f"{mlflow_server}: FileNotFoundError: ")
    run = client.get_run(first.run_id)
    assert (run.info.status, "delivered" in run.data.tags) == ("FINISHED", False)
    second = tracking.track(mlflow_server, record(tmp_path, "u3"))
    assert second == Tracked(first.run_id, first.url, missed="")
    run = client.get_run(first.run_id)
    assert (run.info.status, run.data.tags["delivered"]) == ("FINISHED", "whole")
    assert len(client.get_metric_history(first.run_id, "epoch/valLoss")) == 3


def test_the_published_model_is_the_candidate(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    import mlflow

    (tmp_path / "model.pt").write_bytes(b"weights")
    (tmp_path / "model.json").write_text("{}")
    files, tags = [tmp_path / "model.pt", tmp_path / "model.json"], {"modelSha256": "5a"}
    old, new = (tracking.track(mlflow_server, record(tmp_path, uid)).run_id for uid in ("u4", "u5"))
    for run_id in (old, new, old):  # the last as by a pod that starts again late
        assert tracking.register(mlflow_server, run_id, files, tags, "80 % right") == ""

    candidate = client.get_model_version_by_alias("cats-dogs", "candidate")
    assert (candidate.run_id, candidate.source, candidate.tags, candidate.description, candidate.status) == (
        new,
        f"runs:/{new}/model",
        {"modelSha256": "5a"},
        "80 % right",
        "READY",
    )
    assert len(client.search_model_versions(f"name = 'cats-dogs' and run_id = '{old}'")) == 1
    described = client.get_run(new).data.tags
    assert (described["modelSha256"], described["mlflow.note.content"]) == ("5a", "80 % right")
    mlflow.set_tracking_uri(mlflow_server)
    fetched = mlflow.artifacts.download_artifacts("models:/cats-dogs@candidate", dst_path=str(tmp_path / "got"))
    assert hashlib.sha256(Path(fetched, "model.pt").read_bytes()).digest() == hashlib.sha256(b"weights").digest()


def test_no_server_is_said_and_costs_a_few_refused_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound and not listening: refuses, and nobody else can take the port
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        tracked = tracking.track(uri, record(tmp_path, "u6"))

    assert tracked == Tracked(missed=f"{uri}: ConnectionRefusedError: [Errno 111] Connection refused")


def test_no_address_is_said(tmp_path: Path) -> None:
    assert tracking.track("", record(tmp_path, "u7")) == Tracked(missed="no MLFLOW_TRACKING_URI")


@pytest.fixture
def deaf() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that accepts and never answers: its address, and the connections it was sent."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", connections
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in connections:
        connection.close()


def test_a_server_that_never_answers_is_asked_twice_and_no_more(
    deaf: tuple[str, list[socket.socket]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    uri, connections = deaf
    tracked = tracking.track(uri, record(tmp_path, "u8"))

    assert tracked == Tracked(missed=f"{uri}: TimeoutError: timed out")
    assert len(connections) == tracking.TRIES


def test_a_server_that_is_never_through_is_left_behind(
    deaf: tuple[str, list[socket.socket]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "SECONDS", 0.2)
    tracked = tracking.track(deaf[0], record(tmp_path, "u9"))

    assert tracked == Tracked(missed=f"{deaf[0]}: not through within 0 s")


def test_the_limits_are_those_of_the_process_unless_it_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    seen: dict[str, str] = {}

    assert tracking._bounded("", lambda: seen.update(os.environ)) == ""
    assert {name: seen[name] for name in tracking.LIMITS} == {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
