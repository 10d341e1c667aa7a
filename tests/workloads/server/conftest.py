"""A loaded model and the application around it, in this process. It must not open a port."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from catsdogs.server import api, loading
from catsdogs.server.config import Settings
from catsdogs.server.metrics import Metrics
from catsdogs.server.state import State
from tests.workloads.server import samples


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> samples.ModelFile:
    return samples.write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def settings(model_file: samples.ModelFile) -> Settings:
    return Settings(
        model_uri=model_file.uri,
        model_sha256=model_file.sha256,
        model_version="abc123def456",
        training_run="cats-dogs/demo",
        workers=2,
        max_upload=200_000,
    )


@pytest.fixture
def context(settings: Settings) -> Iterator[api.Context]:
    """With the model loaded."""
    state, metrics = State(), Metrics()
    served = loading.load(settings)
    metrics.serving(served)
    state.serve(served)
    with ThreadPoolExecutor(settings.workers) as pool:
        yield api.Context(settings, state, metrics, pool)


@pytest.fixture
def client(context: api.Context) -> Iterator[TestClient]:
    with TestClient(api.application(context)) as client:
        yield client
