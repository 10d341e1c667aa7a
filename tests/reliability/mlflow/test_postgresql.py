"""Two MLflow servers on one PostgreSQL: started at once on an empty database, and one of them lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from tests.workloads.mlflow.conftest import DEPLOY, Deployed
from tests.workloads.pod.conftest import _clients_closed, free_port, store

__all__ = ["_clients_closed", "store"]
COMPONENT = DEPLOY / "postgresql"
PASSWORD = "p@ss:w/rd%40?"


def programs() -> Path:
    """Debian's PostgreSQL, installed where there is none, which needs root."""
    if not (found := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "postgresql"]):
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"no PostgreSQL here, and apt-get {command[0]} failed: {done.stderr[-300:]}"
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An empty database of the user `mlflow`, as the Secret mlflow-database describes it."""
    folder, port, bin = tmp_path_factory.mktemp("postgresql"), free_port(), programs()  # noqa: A001
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        for place in (folder, *folder.parents[:3]):
            place.chmod(0o755)
        subprocess.run(["chown", "postgres", folder], check=True)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    words = ["--username=mlflow", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]
    subprocess.run([*user, bin / "initdb", f"--pgdata={folder}/data", *words], check=True, capture_output=True)
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*user, bin / "postgres", "-D", f"{folder}/data", *options], stdout=log, stderr=log)
    found = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "mlflow", "PGPASSWORD": PASSWORD}
    try:
        create = [bin / "psql", "-d", "postgres", "-qc", "CREATE DATABASE mlflow"]
        until = time.monotonic() + 60
        while subprocess.run(create, env={**os.environ, **found}, capture_output=True, check=False).returncode:
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield found | {"PGDATABASE": "mlflow"}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


class OnPostgres(Deployed):
    """A replica: the settings of deploy/mlflow/postgresql."""

    @property
    def environment(self) -> dict[str, str]:
        component = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())
        [literals] = [made["literals"] for made in component["configMapGenerator"] if "literals" in made]
        return super().environment | dict(literal.split("=", 1) for literal in literals)


def container(file: str) -> dict[str, Any]:
    """The first container of a patch of the component: the init container where it has one."""
    spec = yaml.safe_load((COMPONENT / file).read_text())["spec"]
    pod = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
    return pod.get("initContainers", pod["containers"])[0]


def test_two_servers_started_at_once_on_an_empty_database_and_one_is_lost(
    store: object, connection: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in connection.items():
        monkeypatch.setenv(name, value)
    store.client.create_bucket("replicas")  # type: ignore[attr-defined]
    replicas = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        replicas.append(OnPostgres(store, "replicas", tmp_path / name, free_port()))  # type: ignore[arg-type]
    upgrade = [sys.executable, "-m", "mlflow", *container("server.yaml")["args"]]
    waiting = list(replicas)
    for _ in range(5):  # a failed init container is started again
        started = []
        for each in waiting:
            environment = each.environment | {"TMPDIR": str(each.folder)}
            started.append(subprocess.Popen(upgrade, env=environment, stderr=subprocess.PIPE))
        for process in started:
            process.communicate()
        waiting = [each for each, process in zip(waiting, started, strict=True) if process.returncode]
        if not waiting:
            break
    assert not waiting
    try:
        for each in replicas:
            each.start()
        first, second = (MlflowClient(tracking_uri=each.address) for each in replicas)
        run = first.create_run(first.create_experiment("both")).info.run_id
        first.log_metric(run, "accuracy", 0.5)
        (tmp_path / "note.txt").write_text("a note")
        first.log_artifact(run, str(tmp_path / "note.txt"))
        replicas[0].kill()

        assert second.get_run(run).data.metrics == {"accuracy": 0.5}
        assert Path(second.download_artifacts(run, "note.txt", str(tmp_path))).read_text() == "a note"
        second.delete_run(run)
        args = ["--older-than=0d" if word == "--older-than=30d" else word for word in container("garbage.yaml")["args"]]
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", *args],
            env=replicas[1].environment | {"MLFLOW_TRACKING_URI": replicas[1].address},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert store.objects("replicas", "mlflow-artifacts/") == []  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="not found"):
            second.get_run(run)
    finally:
        for each in replicas:
            each.kill()
