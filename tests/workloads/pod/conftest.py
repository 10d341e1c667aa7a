"""A real object store (fake-gcs-server) with drawings in it, and the pod's stages run as the pod runs them."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from catsdogs import key
from demo.drawings import draw
from devcluster import programs
from devcluster.progress import Reporter

WORKLOADS = Path(key.__file__).parents[1]
IMAGE = "registry.example/trainer@sha256:" + "a" * 64
DRAWINGS = 120
PARAMETERS = {"epochs": 2, "imageSize": 32, "batchSize": 16}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Store:
    """An object store; `objects` reads what lies below a prefix."""

    endpoint: str
    client: Any

    def objects(self, bucket: str, prefix: str) -> list[str]:
        return sorted(blob.name.removeprefix(prefix) for blob in self.client.list_blobs(bucket, prefix=prefix))

    def read(self, bucket: str, name: str) -> bytes:
        return bytes(self.client.bucket(bucket).blob(name).download_as_bytes())

    def put(self, bucket: str, name: str, data: bytes) -> None:
        self.client.bucket(bucket).blob(name).upload_from_string(data)

    def raw(self, bucket: str) -> list[key.RawPhoto]:
        blobs = self.client.list_blobs(bucket, prefix=key.RAW_PREFIX)
        return [key.RawPhoto(b.name.removeprefix(key.RAW_PREFIX), b.size, b.crc32c) for b in blobs]

    def fill(self, bucket: str, folder: Path, pattern: str = "*/*.jpg") -> None:
        self.client.create_bucket(bucket)
        for file in sorted(folder.glob(pattern)):
            name = key.RAW_PREFIX + file.relative_to(folder).as_posix()
            self.client.bucket(bucket).blob(name).upload_from_filename(str(file))


@pytest.fixture(autouse=True)
def _clients_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the clients that a test's own calls open: a process of a stage ends, the tests' process goes on."""
    opened: list[Any] = []

    class Client(storage.Client):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            opened.append(self)

    monkeypatch.setattr(storage, "Client", Client)
    yield
    for client in opened:
        client.close()
    if opened:
        with warnings.catch_warnings():  # a request that google-auth gave up leaves its socket to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    program = programs.ensure(["fake-gcs-server"], Reporter())["fake-gcs-server"]
    port, folder = free_port(), tmp_path_factory.mktemp("store")
    options = f"-scheme http -host 127.0.0.1 -port {port} -public-host 127.0.0.1:{port} -backend filesystem"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *options.split(), "-filesystem-root", folder / "objects"], stdout=log, stderr=log
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{endpoint}/storage/v1/b")
        yield Store(
            endpoint,
            storage.Client(
                project="local", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
            ),
        )
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            assert time.monotonic() < until, f"{url} does not answer"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    draw(folder, DRAWINGS)
    return folder


@pytest.fixture(scope="session")
def photos(store: Store, drawings: Path) -> str:
    """A bucket with DRAWINGS raw photographs."""
    store.fill("photos", drawings)
    return "photos"


@pytest.fixture(scope="session")
def mlflow_server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow with its artifacts in the object store, set as the one in deploy/mlflow."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    store.client.create_bucket("tracked")
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": "gs://tracked/mlflow-artifacts",
        "STORAGE_EMULATOR_HOST": store.endpoint,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for_mlflow(address, process, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # itself and its worker; asked nicely it takes seconds
        process.wait()


def _wait_for_mlflow(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"no MLflow within five minutes: {log.read_text()}")


@dataclass(frozen=True)
class Pod:
    """What the pods of one run share: a folder and an environment."""

    work: Path
    environment: dict[str, str]

    @property
    def version(self) -> str:
        return self.environment["CATSDOGS_VERSION"]

    def start(self, stage: str, **changed: str) -> subprocess.Popen[str]:
        self.work.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "catsdogs", "stage", stage],
            env={**os.environ, **self.environment, **changed},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def message(self) -> dict[str, Any]:
        data = (self.work / "termination-log").read_bytes()
        assert len(data) <= 2000
        return dict(json.loads(data))

    def run(self, stage: str, **changed: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, termination message without its seconds, and what the log says."""
        process = self.start(stage, **changed)
        log = said(process.communicate(timeout=240)[0])
        message = self.message()
        message.pop("seconds", None)
        return process.returncode, message, log


def said(log: str) -> str:
    """The messages of a stage's log, and lines that are no objects as they are."""
    lines = (json.loads(line)["message"] if line.startswith("{") else line for line in log.splitlines())
    return "".join(f"{line}\n" for line in lines)


def pod(store: Store, bucket: str, work: Path, **parameters: Any) -> Pod:
    """A pod as the operator would start it now, with an MLflow that nobody answers for."""
    merged = {**PARAMETERS, **parameters}
    raw_hash = key.raw_hash(store.raw(bucket))
    return Pod(
        work,
        {
            "CATSDOGS_BUCKET": bucket,
            "CATSDOGS_RAW_HASH": raw_hash,
            "CATSDOGS_VERSION": key.version(raw_hash, merged, IMAGE),
            "CATSDOGS_PARAMETERS": json.dumps(merged),
            "CATSDOGS_IMAGE": IMAGE,
            "CATSDOGS_RUN": "cats-dogs/test",
            "CATSDOGS_RUN_UID": "0b5f",
            "CATSDOGS_GIT_COMMIT": "c0ffee",
            "CATSDOGS_WORK": str(work),
            "CATSDOGS_PORT": str(free_port()),
            "CATSDOGS_TERMINATION_LOG": str(work / "termination-log"),
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
            "STORAGE_EMULATOR_HOST": store.endpoint,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "PYTHONPATH": str(WORKLOADS),
            "HOME": str(work),
            "OMP_NUM_THREADS": "1",  # arrays this small only wait for each other's threads
        },
    )


@pytest.fixture(scope="session")
def finished(store: Store, photos: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pod, dict[str, Any]]:
    """A run through all stages, and the summary of each."""
    run = pod(store, photos, tmp_path_factory.mktemp("pod") / "work")
    summaries = {}
    for stage in key.STAGES:
        code, message, log = run.run(stage)
        assert (code, message["stage"], message["ok"]) == (0, stage, True), log
        summaries[stage] = message["summary"]
    return run, summaries
