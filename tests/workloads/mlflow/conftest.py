"""MLflow as deploy/mlflow runs it, as processes of this machine: its settings, script and commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from tests.workloads.pod.conftest import Store, _clients_closed, free_port, store

__all__ = ["_clients_closed", "store"]
DEPLOY = Path(__file__).parents[3] / "deploy" / "mlflow"


@dataclass
class Deployed:
    """One MLflow with SQLite in `folder` and its artifacts and backups in `bucket`; `port` is its server's."""

    store: Store
    bucket: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        lines = (DEPLOY / "settings.env").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        settings = {name: value.replace("${BUCKET}", self.bucket) for name, value in settings.items()}
        settings |= {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{self.database}", "HOME": str(self.folder)}
        return {**os.environ, **settings, "STORAGE_EMULATOR_HOST": self.store.endpoint}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        [_, deployment, _] = yaml.safe_load_all((DEPLOY / "mlflow.yaml").read_text())
        args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        args = [
            {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={self.port}"}.get(word, word)
            for word in args
        ]
        command = [sys.executable, "-m", "mlflow", *args]
        log = self.folder / "log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=file, stderr=file, start_new_session=True
            )
        wait_for(self.address, self.process, log)

    def kill(self) -> None:
        """End the server as a node that dies would."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def cron_job(self, name: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run what the pod of a CronJob would."""
        [container] = containers()[name]
        command = [container.get("command", ["mlflow"]), container.get("args", [])]
        uri = f"sqlite:///{self.database}"
        words = [word.replace("sqlite:////data/mlflow.db", uri) for part in command for word in part]
        words = [str(DEPLOY / "sqlite.py") if word == "/script/sqlite.py" else word for word in words]
        program = [sys.executable] if words[0] == "python" else [sys.executable, "-m", words[0]]
        own = {item["name"]: item["value"] for item in container["env"]} | settings
        own = {key: value.replace("http://mlflow-service:5000", self.address) for key, value in own.items()}
        environment = {**self.environment, **own, "TMPDIR": str(self.folder)}
        return subprocess.run([*program, *words[1:]], env=environment, capture_output=True, text=True, check=False)

    def backups(self) -> list[str]:
        """The names of the copies in the bucket, oldest first."""
        return self.store.objects(self.bucket, "mlflow-backups/")


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; fails with its log when it ended, or after nine minutes."""
    until = time.monotonic() + 540
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"no MLflow within nine minutes: {log.read_text()}")


def containers() -> dict[str, list[dict]]:
    """The containers of each CronJob by its name."""
    files = (DEPLOY / "backup.yaml", DEPLOY / "garbage.yaml")
    jobs = [job for file in files for job in yaml.safe_load_all(file.read_text())]
    return {
        job["metadata"]["name"]: job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"] for job in jobs
    }


@pytest.fixture(scope="module")
def deployed(
    store: Store, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Deployed]:
    """One that runs, with a bucket of its own."""
    bucket = f"deployed-{request.module.__name__.rpartition('.')[2].replace('_', '-')}"
    store.client.create_bucket(bucket)
    found = Deployed(store, bucket, tmp_path_factory.mktemp("deployed"), free_port())
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture
def stopped(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Deployed:
    """One without a server, for what needs none; with a bucket of its own."""
    bucket = f"stopped-{abs(hash(request.node.name)) % 10**9}"
    store.client.create_bucket(bucket)
    return Deployed(store, bucket, tmp_path, free_port())
