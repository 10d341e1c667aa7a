"""A real object store (fake-gcs-server) with drawings in it, and the pod's stages run as the pod runs them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
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
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def message(self) -> dict[str, Any]:
        data = (self.work / "termination-log").read_bytes()
        assert len(data) <= 2000
        return dict(json.loads(data))

    def run(self, stage: str, **changed: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, termination message without its seconds, and the log."""
        process = self.start(stage, **changed)
        log = process.communicate(timeout=240)[1]
        message = self.message()
        message.pop("seconds", None)
        return process.returncode, message, log


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
        },
    )
