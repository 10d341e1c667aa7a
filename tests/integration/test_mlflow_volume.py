"""Where MLflow's pods may run, by the real scheduler and the volumes of the bare node: a backup beside the server, and
never a restore, as the server would go on with the replaced database. The node is simulated: nothing starts on it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import addons, cluster
from devcluster.progress import Reporter
from tests.integration.mlflow_overlay import rendered
from tests.integration.world import ROOT, Kubectl, until

NODE = "one"
STATUS = {
    "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "Simulated", "message": ""}],
}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """A control plane of its own with one node: other tests count on there being none."""
    with cluster.isolated_control_plane(Reporter()) as control_plane:
        ask = Kubectl(control_plane, "mlops-system")
        ask("apply", "--server-side", "-f", str(ROOT / "deploy/base/namespace.yaml"))
        addons.apply(control_plane, ("volumes",), VOLUMES="/volumes")
        labels = {"kubernetes.io/hostname": NODE}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}
        ask("create", "-f", "-", given=node)
        yield ask


def comes(kubectl: Kubectl, what: str, look: Callable[[], Any]) -> Any:
    """Wait for it, while the node says that it is alive, as a kubelet does."""

    def alive_and_seen() -> Any:
        kubectl.patch("node", NODE, {"status": STATUS}, "--subresource=status")
        return look()

    return until(what, alive_and_seen)


def pods(kubectl: Kubectl, name: str) -> list[dict[str, Any]]:
    return kubectl.items("pods", "-l", f"app.kubernetes.io/name={name}")


def runs(kubectl: Kubectl, name: str) -> bool:
    return [pod["spec"].get("nodeName") for pod in pods(kubectl, name)] == [NODE]


def refused(kubectl: Kubectl, name: str) -> str:
    """Why the scheduler has no node for the pod."""
    for pod in pods(kubectl, name):
        for condition in pod.get("status", {}).get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition["message"])
    return ""


def test_a_backup_runs_beside_the_server_and_a_restore_never(kubectl: Kubectl, tmp_path: Path) -> None:
    items = rendered(kubectl, (), tmp_path)
    kubectl("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": items})
    comes(kubectl, "the server has node and volume", lambda: runs(kubectl, "mlflow"))
    claim = kubectl.get("pvc", "mlflow")
    assert (claim["status"]["phase"], claim["spec"]["storageClassName"]) == ("Bound", "local")
    kubectl("create", "job", "backup", "--from=cronjob/mlflow-backup")
    comes(kubectl, "the backup is on the server's node", lambda: runs(kubectl, "mlflow-backup"))

    kubectl("create", "job", "restore", "--from=cronjob/mlflow-restore")
    said = comes(kubectl, "the restore has no node", lambda: refused(kubectl, "mlflow-restore"))
    assert "anti-affinity" in said
    kubectl("scale", "deployment", "mlflow", "--replicas=0")
    [server] = pods(kubectl, "mlflow")
    kubectl("delete", "pod", server["metadata"]["name"], "--force", "--grace-period=0")  # as the kubelet says it ended
    comes(kubectl, "the restore goes on", lambda: runs(kubectl, "mlflow-restore"))

    kubectl("scale", "deployment", "mlflow", "--replicas=1")
    said = comes(kubectl, "the server waits for the restore", lambda: refused(kubectl, "mlflow"))
    assert "anti-affinity" in said
