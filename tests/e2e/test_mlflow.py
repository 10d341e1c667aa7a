"""MLflow on a real node loses nothing: its pod deleted, its database destroyed and restored as docs/mlflow.md says."""

import re
import subprocess
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from demo import deploy
from demo.kubectl import Kubectl
from demo.store import BUCKET
from tests.e2e.kube import Kube, eventually
from tests.e2e.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "mlflow.md"
SYSTEM = "--namespace=mlops-system"
BACKUP = "job/mlflow-backup-now"


@pytest.fixture(scope="module")
def client(kubectl: Kubectl, mlflow: str) -> MlflowClient:
    Store(deploy.address(kubectl, "object-store", 4443), BUCKET).make_bucket(BUCKET)
    return MlflowClient(tracking_uri=mlflow)


def shell(kubectl: Kubectl, heading: str, only: str = "") -> str:
    """Run the first commands below a heading of the page, or those with a word in them, as a person pastes them."""
    block = re.search(rf"^## {heading}$.*?^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert block, heading
    words = " ".join(kubectl.command())
    lines = [line for line in block[1].splitlines() if only in line]
    script = "\n".join(re.sub(r"^kubectl", words, line) for line in lines)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recorded(client: MlflowClient, name: str, folder: Path) -> str:
    """A new run with a figure and an artifact."""
    found = client.get_experiment_by_name("e2e")
    run = client.create_run(
        found.experiment_id if found else client.create_experiment("e2e"), run_name=name
    ).info.run_id
    client.log_metric(run, "accuracy", 0.5)
    (folder / "note.txt").write_text(name)
    client.log_artifact(run, str(folder / "note.txt"))
    return run


def is_there(client: MlflowClient, run: str, name: str, folder: Path) -> None:
    assert client.get_run(run).data.metrics == {"accuracy": 0.5}
    assert Path(client.download_artifacts(run, "note.txt", str(folder))).read_text() == name


def answers(kube: Kube, address: str) -> None:
    kube.run("rollout", "status", "deployment/mlflow", SYSTEM, "--timeout=300s")
    eventually("MLflow answers by its address", lambda: searches(address) == 200)


def searches(address: str) -> int:
    """The status of an answer that takes the database; 0 for none."""
    try:
        return requests.get(f"{address}/api/2.0/mlflow/experiments/search?max_results=1", timeout=10).status_code
    except requests.RequestException:
        return 0


def test_a_run_and_its_artifacts_outlive_the_pod(kube: Kube, client: MlflowClient, mlflow: str, tmp_path: Path) -> None:
    run = recorded(client, "before", tmp_path)
    [pod] = kube.get("pods", SYSTEM, "-l", "app.kubernetes.io/name=mlflow")["items"]
    kube.run("delete", "pod", pod["metadata"]["name"], SYSTEM)
    answers(kube, mlflow)

    [other] = kube.get("pods", SYSTEM, "-l", "app.kubernetes.io/name=mlflow")["items"]
    assert other["metadata"]["uid"] != pod["metadata"]["uid"]
    is_there(client, run, "before", tmp_path)


def test_a_destroyed_database_is_restored_by_the_commands_of_the_page(
    kube: Kube, kubectl: Kubectl, client: MlflowClient, mlflow: str, tmp_path: Path
) -> None:
    run = recorded(client, "kept", tmp_path)
    shell(kubectl, "Backup", only="create job")
    try:
        kube.run("wait", BACKUP, SYSTEM, "--for=condition=Complete", "--timeout=120s")
        said = kube.run("logs", BACKUP, SYSTEM).stdout
        assert re.match(r"gs://cats-dogs/mlflow-backups/\d{4}-\d\d-\d\dT\d{6}Z\.db\.gz: \d+ runs, ", said), said
        destroy = "echo destroyed >/data/mlflow.db"
        kube.run("exec", "deployment/mlflow", SYSTEM, "-c", "mlflow", "--", "sh", "-c", destroy)
        assert searches(mlflow) >= 400
        assert "mlflow-backups" in shell(kubectl, "Restore")
    finally:
        kube.run("delete", BACKUP, SYSTEM)
    answers(kube, mlflow)
    is_there(client, run, "kept", tmp_path)


def test_garbage_is_collected_on_the_cluster(kube: Kube, client: MlflowClient, tmp_path: Path) -> None:
    """That nothing young goes, and that the Job has all it needs; what goes after a month, tests/workloads shows."""
    run = recorded(client, "deleted", tmp_path)
    client.delete_run(run)
    kube.run("create", "job", "e2e-mlflow-gc", "--from=cronjob/mlflow-gc", SYSTEM)
    try:
        kube.run("wait", "job/e2e-mlflow-gc", SYSTEM, "--for=condition=Complete", "--timeout=180s")
    finally:
        kube.run("delete", "job/e2e-mlflow-gc", SYSTEM)
    client.restore_run(run)
    is_there(client, run, "deleted", tmp_path)
