"""Only the model that was named is ever served; whatever else is found, /health says why there is none."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from catsdogs import model
from catsdogs.server import loading
from catsdogs.server.config import Settings
from catsdogs.server.state import Served, State
from tests.unit.operator.bucket_server import bucket_server
from tests.workloads.server import samples


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("harm"),))


def run(settings: Settings) -> tuple[State, list[Served]]:
    """One run of the loader; a retry is cut short."""
    state, served, stop = State(), [], threading.Event()
    stop.wait = lambda _: stop.set() or True  # type: ignore[assignment, method-assign, func-returns-value]
    loading.run(settings, state, served.append, stop)
    return state, served


def test_a_verified_model_is_served(settings: Settings) -> None:
    state, served = run(settings)
    assert state.health() == (
        200,
        {
            "status": "healthy",
            "model_loaded": True,
            "version": "abc123def456",
            "sha256": settings.model_sha256,
        },
    )
    assert served == [state.served]
    assert state.lineage() == {
        "version": "abc123def456",
        "sha256": settings.model_sha256,
        "uri": settings.model_uri,
        "trainingRun": "cats-dogs/demo",
        "architecture": "SimpleCNN",
        "imageSize": 32,
        "classes": ["cat", "dog"],
        "metrics": samples.DESCRIPTION["metrics"],
        "stoppedBy": "epochs",
        "createdAt": "2026-01-02T03:04:05Z",
        "lineage": samples.DESCRIPTION["lineage"],
    }


FORMS = "is not gs://BUCKET/PATH, file:///PATH, models:/NAME@ALIAS or models:/NAME/1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_uri": ""}, "MODEL_URI is not set: give gs://BUCKET/PATH/model.pt or file:///PATH/model.pt"),
        ({"model_uri": "http://a/b"}, f"MODEL_URI 'http://a/b' {FORMS}"),
        ({"model_uri": "gs://bucket"}, f"MODEL_URI 'gs://bucket' {FORMS}"),
        ({"model_uri": "models:/name"}, f"MODEL_URI 'models:/name' {FORMS}"),
        (
            {"model_uri": "models:/name@champion"},
            "MODEL_URI 'models:/name@champion' needs MLFLOW_TRACKING_URI, the http:// or https:// address of MLflow",
        ),
        ({"model_sha256": ""}, "MODEL_SHA256 is not 64 hex digits: without it no model can be trusted"),
        (
            {"model_uri": "file:///nowhere/model.pt"},
            "file:///nowhere/model.pt does not exist; tried again every 30 s or sooner",
        ),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(settings: Settings, changes: dict[str, str], reason: str) -> None:
    state, served = run(replace(settings, **changes))
    assert state.health() == (503, {"status": "failed", "model_loaded": False, "reason": reason})
    assert served == []


def test_a_wrong_hash_is_never_served(settings: Settings, model_file: samples.ModelFile) -> None:
    state, served = run(replace(settings, model_sha256="0" * 64))
    reason = f"{model_file.uri}: SHA-256 is {model_file.sha256}, not {'0' * 64}; tried again every 30 s or sooner"
    assert state.health() == (503, {"status": "failed", "model_loaded": False, "reason": reason})
    assert served == []


@pytest.mark.parametrize("metadata", [{"architecture": "ResNet"}, {"classes": ["dog", "cat"]}, {"imageSize": 0}])
def test_a_model_that_is_not_ours_is_never_served(
    settings: Settings, tmp_path: Path, metadata: dict[str, object]
) -> None:
    file = samples.write_model(tmp_path, **metadata)
    state, served = run(replace(settings, model_uri=file.uri, model_sha256=file.sha256))
    assert state.health()[0] == 503
    assert state.status == "failed"
    assert str(next(iter(metadata.values()))).strip("[]").split(",")[0] in state.reason
    assert served == []


@pytest.mark.parametrize("content", ["harmful pickle", "no pickle", "other weights"])
def test_a_right_hash_does_not_make_any_file_a_model(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    if content == "harmful pickle":
        torch.save({"metadata": {}, "state": _Harmful()}, path)
    elif content == "no pickle":
        path.write_bytes(b"not a model")
    else:
        metadata = {"architecture": "SimpleCNN", "imageSize": 32, "classes": ["cat", "dog"]}
        torch.save({"metadata": metadata, "state": {"x": torch.zeros(1)}}, path)
    state, served = run(replace(settings, model_uri=path.as_uri(), model_sha256=model.sha256_of(path)))
    assert state.status == "failed"
    assert state.reason.startswith(f"{path.as_uri()}: not a model that can be served: ")
    assert "\n" not in state.reason
    assert served == []
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("text", [None, "{", "[]", json.dumps({"sha256": "of another file", "version": "x"})])
def test_lineage_is_unknown_rather_than_wrong(settings: Settings, tmp_path: Path, text: str | None) -> None:
    file = samples.write_model(tmp_path)
    beside = tmp_path / "model.json"
    if text is None:
        beside.unlink()
    else:
        beside.write_text(text)
    served = loading.load(replace(settings, model_uri=file.uri, model_version="told"))
    assert (served.version, served.description) == ("told", {})


@pytest.mark.parametrize("there", [None, b"half a fi"], ids=["missing", "half copied"])
def test_a_file_that_comes_later_is_served(settings: Settings, tmp_path: Path, there: bytes | None) -> None:
    if there:
        (tmp_path / "model.pt").write_bytes(there)
    state, served, stop = State(), [], threading.Event()
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 2:
            samples.write_model(tmp_path)
        return False

    stop.wait = wait  # type: ignore[assignment, method-assign]
    loading.run(replace(settings, model_uri=(tmp_path / "model.pt").as_uri()), state, served.append, stop)
    assert waits == [1.0, 2.0]
    assert state.health()[0] == 200


def test_a_bucket_that_does_not_answer_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("catsdogs.server.source.REQUEST_SECONDS", 0.2)
    state, served = run(replace(settings, model_uri="gs://bucket/models/x/model.pt"))
    assert (state.status, served) == ("waiting", [])
    assert state.reason.startswith("gs://bucket/models/x/model.pt can't be read: ")


def test_an_account_that_may_not_list_gets_a_model_without_a_description(
    settings: Settings, model_file: samples.ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cloud Storage says 403 to it of what is not there."""
    with bucket_server() as buckets:
        buckets.absent = 403
        buckets.objects["bucket"] = {"x/model.pt": Path(model_file.uri.removeprefix("file://")).read_bytes()}
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", buckets.url)
        state, served = run(replace(settings, model_uri="gs://bucket/x/model.pt", model_sha256=model_file.sha256))
    assert (state.health()[0], len(served)) == (200, 1), state.reason


def test_a_download_that_breaks_is_not_the_models_fault(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catsdogs.server.source.sys.executable", "/bin/false")
    state, _ = run(replace(settings, model_uri="gs://bucket/x/model.pt"))
    assert (state.status, state.reason.split(";")[0]) == ("waiting", "gs://bucket/x/model.pt: exit status 1")


def test_a_file_that_is_not_in_the_bucket_is_no_outage(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_server() as buckets:
        buckets.objects["bucket"] = {}
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", buckets.url)
        state, _ = run(replace(settings, model_uri="gs://bucket/models/x/model.pt"))
    reason = "gs://bucket/models/x/model.pt does not exist; tried again every 30 s or sooner"
    assert (state.status, state.reason) == ("failed", reason)
