"""The listener for people asks for a password at each door; the trainer's, which asks nobody, has the same runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from mlflow import MlflowClient

from tests.workloads.mlflow.conftest import DEPLOY, Deployed, wait_for
from tests.workloads.pod.conftest import free_port

PASSWORD = "a-first-password"
PUBLIC = "mlflow.example.com"


def listener(deployed: Deployed, port: int, ini: Path, **settings: str) -> subprocess.Popen[bytes]:
    """The container `people` as a process, its users in the database that `ini` names."""
    patch = yaml.safe_load((DEPLOY / "exposed-password" / "server.yaml").read_text())
    [container] = patch["spec"]["template"]["spec"]["containers"]
    changed = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5001": f"--port={port}"}
    own = {item["name"]: item["value"].replace("${MLFLOW_HOST}", PUBLIC) for item in container["env"]}
    own["MLFLOW_AUTH_CONFIG_PATH"] = str(ini)
    environment = {**deployed.environment, **own, **settings}
    command = [sys.executable, "-m", "mlflow", *(changed.get(word, word) for word in container["args"])]
    with (deployed.folder / "people.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=deployed.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


@pytest.fixture(scope="module")
def people(deployed: Deployed) -> Iterator[str]:
    """Its address, beside the running server."""
    ini, port = deployed.folder / "basic_auth.ini", free_port()
    text = (DEPLOY / "basic_auth.ini").read_text()
    ini.write_text(text.replace("sqlite:////data/mlflow.db", f"sqlite:///{deployed.database}"))
    settings = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key"}
    process = listener(deployed, port, ini, **settings)
    try:
        wait_for(f"http://127.0.0.1:{port}", process, deployed.folder / "people.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(people: str, method: str, path: str, **more: object) -> requests.Response:
    return requests.request(method, people + path, headers={"Host": PUBLIC}, timeout=30, **more)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/2.0/mlflow/experiments/search?max_results=5"),
        ("POST", "/ajax-api/2.0/mlflow/runs/search"),
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=0"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/x"),
        ("GET", "/get-artifact?path=x&run_uuid=y"),
        ("GET", "/api/2.0/mlflow/registered-models/search"),
        ("GET", "/api/2.0/mlflow/users/get?username=admin"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
    ],
)
def test_nothing_is_told_to_one_without_a_password_or_with_a_wrong_one(people: str, method: str, path: str) -> None:
    for auth in (None, ("admin", "password1234"), ("admin", "")):
        answer = ask(people, method, path, auth=auth)
        assert answer.status_code in (401, 404), (auth, answer.status_code, answer.text[:200])


def test_the_health_check_of_the_load_balancer_needs_neither_name_nor_password(people: str) -> None:
    assert requests.get(f"{people}/health", timeout=30).status_code == 200


def test_another_name_than_the_public_one_is_refused(people: str) -> None:
    assert requests.get(people, auth=("admin", PASSWORD), timeout=30).status_code == 403
    assert ask(people, "GET", "/", auth=("admin", PASSWORD)).status_code == 200


def test_a_person_reads_what_the_trainer_logged_and_changes_nothing_of_it(deployed: Deployed, people: str) -> None:
    trainer = MlflowClient(tracking_uri=deployed.address)  # on the listener inside, without a password
    experiment = trainer.create_experiment("for-people")
    run = trainer.create_run(experiment).info.run_id
    made = ask(people, "POST", "/api/2.0/mlflow/users/create", auth=("admin", PASSWORD),
               json={"username": "eve", "password": "her-own-password"})  # fmt: skip
    assert made.status_code == 200, made.text
    eve = ("eve", "her-own-password")

    found = ask(people, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", auth=eve)
    assert (found.status_code, found.json()["run"]["info"]["run_id"]) == (200, run)
    denied = ask(people, "POST", "/api/2.0/mlflow/runs/delete", auth=eve, json={"run_id": run})
    assert denied.status_code == 403
    assert trainer.get_run(run).info.lifecycle_stage == "active"


def test_without_a_first_password_it_does_not_start(deployed: Deployed, tmp_path: Path) -> None:
    ini = tmp_path / "basic_auth.ini"
    text = (DEPLOY / "basic_auth.ini").read_text()
    ini.write_text(text.replace("sqlite:////data/mlflow.db", f"sqlite:///{tmp_path}/empty.db"))
    process = listener(deployed, free_port(), ini, MLFLOW_FLASK_SERVER_SECRET_KEY="a-key")
    try:
        assert process.wait(timeout=120) != 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
