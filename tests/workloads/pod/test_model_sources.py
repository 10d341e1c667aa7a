"""Where the server's model can come from, by the real parts: an object store, and MLflow with its artifacts there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catsdogs import model
from catsdogs.pipeline import tracking
from catsdogs.server import loading
from catsdogs.server.config import Settings
from catsdogs.server.source import SourceError
from tests.workloads.pod.conftest import Store
from tests.workloads.pod.test_tracking import record
from tests.workloads.server import samples
from tests.workloads.server.conftest import model_file, settings

__all__ = ["model_file", "settings"]


@pytest.fixture
def bucket(store: Store, model_file: samples.ModelFile, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with the test's model in models/v/."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    bucket = store.client.create_bucket("served")
    for name in ("model.pt", "model.json"):
        store.put("served", f"models/v/{name}", (model_file.path.parent / name).read_bytes())
    yield bucket
    bucket.delete(force=True)


def test_a_model_comes_from_a_bucket(settings: Settings, store: Store, bucket: Any) -> None:
    there = replace(settings, model_uri="gs://served/models/v/model.pt")
    served = loading.load(there)
    assert served.description == {**samples.DESCRIPTION, "sha256": settings.model_sha256}
    assert (served.uri, served.sha256) == ("gs://served/models/v/model.pt", settings.model_sha256)

    bucket.blob("models/v/model.json").delete()
    assert loading.load(there).description == {}
    store.put("served", "models/v/model.pt", b"changed")
    with pytest.raises(SourceError, match=r"^gs://served/models/v/model\.pt: SHA-256 is [0-9a-f]{64}, not "):
        loading.load(there)
    bucket.blob("models/v/model.pt").delete()
    with pytest.raises(SourceError, match=r"^gs://served/models/v/model\.pt does not exist$"):
        loading.load(there)


@pytest.fixture
def registered(
    mlflow_server: str, model_file: samples.ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The test's model in MLflow as a training leaves it there, by the alias `candidate`; returns its version."""
    from mlflow import MlflowClient

    for name, value in tracking.LIMITS.items():
        monkeypatch.setenv(name, value)
    run_id = tracking.track(mlflow_server, record(tmp_path, tmp_path.name)).run_id
    files = [model_file.path, model_file.path.with_name("model.json")]
    assert tracking.register(mlflow_server, run_id, files, {"modelSha256": model_file.sha256}, "") == ""
    return str(MlflowClient(tracking_uri=mlflow_server).get_model_version_by_alias("cats-dogs", "candidate").version)


def test_a_model_comes_from_mlflow(settings: Settings, mlflow_server: str, registered: str) -> None:
    for uri in ("models:/cats-dogs@candidate", f"models:/cats-dogs/{registered}"):
        there = replace(settings, model_uri=uri, tracking_uri=f"{mlflow_server}/", model_version="")
        served = loading.load(there)
        assert (served.version, served.sha256, served.uri) == ("abc123def456", settings.model_sha256, uri)
        assert served.description == {**samples.DESCRIPTION, "sha256": settings.model_sha256}
        # Without a hash of its own the server takes the one that the training noted.
        assert loading.load(replace(there, model_sha256="")).sha256 == settings.model_sha256
        with pytest.raises(SourceError, match=f"^{uri}: SHA-256 is {settings.model_sha256}, not 0{{64}}$"):
            loading.load(replace(there, model_sha256="0" * 64))


def test_a_model_that_mlflow_keeps_in_a_bucket(
    settings: Settings, mlflow_server: str, registered: str, bucket: Any
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=mlflow_server)
    client.create_model_version("cats-dogs", "gs://served/models/v", await_creation_for=0)
    client.set_registered_model_alias("cats-dogs", "elsewhere", str(int(registered) + 1))
    there = replace(settings, model_uri="models:/cats-dogs@elsewhere", tracking_uri=mlflow_server)
    assert loading.load(there).description == {**samples.DESCRIPTION, "sha256": settings.model_sha256}
    with pytest.raises(SourceError) as caught:
        loading.load(replace(there, model_sha256=""))
    assert str(caught.value) == "models:/cats-dogs@elsewhere has no tag modelSha256, and MODEL_SHA256 is not set"


def test_what_mlflow_has_not_is_said_in_its_own_words(settings: Settings, mlflow_server: str, registered: str) -> None:
    def failure(**changes: str) -> str:
        with pytest.raises(SourceError) as caught:
            loading.load(replace(settings, **{"tracking_uri": mlflow_server, **changes}))
        return str(caught.value)

    assert failure(model_uri="models:/cats-dogs@nobody") == (
        f"MLflow at {mlflow_server} answered 400: Registered model alias nobody not found."
    )
    assert failure(model_uri="models:/cats-dogs/999") == (
        f"MLflow at {mlflow_server} answered 404: Model Version (name=cats-dogs, version=999) not found"
    )
    with socket.socket() as closed:  # bound and not listening: refuses, and nobody else can take the port
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert failure(model_uri="models:/cats-dogs@candidate", tracking_uri=address) == (
            f"MLflow at {address} can't be asked: [Errno 111] Connection refused"
        )


def test_a_registered_model_without_the_file(
    settings: Settings, store: Store, mlflow_server: str, registered: str
) -> None:
    for name in store.objects("tracked", ""):
        if name.endswith("/model/model.pt"):
            store.client.bucket("tracked").blob(name).delete()
    with pytest.raises(
        SourceError, match=r"^http://.*/artifacts/model/model\.pt answered 500: The following failures occurred"
    ):
        loading.load(replace(settings, model_uri="models:/cats-dogs@candidate", tracking_uri=mlflow_server))


def test_the_error_for_another_file_is_one_of_the_model_file() -> None:
    """`catsdogs predict` and the stages catch ModelFileError."""
    assert issubclass(model.WrongFileError, model.ModelFileError)
