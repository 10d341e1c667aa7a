"""What the TrainingRun's integration tests work with: kubectl, the operator as a process, a pretended kubelet.

The API server and its controllers are real; pods have no node, so the tests write what a kubelet would.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from devcluster import programs
from devcluster.cluster import Cluster
from devcluster.control_plane import free_ports
from devcluster.progress import Reporter

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
T = TypeVar("T")
NAMESPACE = "training"
IMAGE = "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64
SHA256 = "a" * 64
RAW = "datasets/cats-dogs/raw/"
STAGES = ("ingest", "preprocess", "eda", "train", "evaluate")


class Kubectl:
    """kubectl as the administrator, in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        binary = programs.ensure(("kubectl",), Reporter())["kubectl"]
        self.cluster, self.namespace = cluster, namespace
        self._command = [str(binary), f"--kubeconfig={cluster.kubeconfig}", f"--context={cluster.context}"]

    def __call__(self, *arguments: str, given: Any = None) -> str:
        """Standard output; fails the test with what kubectl said."""
        done = self.tried(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def tried(self, *arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        """The outcome, good or bad."""
        text = given if isinstance(given, str | None) else json.dumps(given)
        command = [*self._command, f"--namespace={self.namespace}", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """The object; empty when there is none."""
        found: dict[str, Any] = json.loads(self("get", kind, name, "-o", "json", "--ignore-not-found") or "{}")
        return found

    def items(self, kind: str, *more: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        found: list[dict[str, Any]] = json.loads(self("get", kind, "-o", "json", *more))["items"]
        return found

    def patch(self, kind: str, name: str, change: Mapping[str, Any], *more: str) -> None:
        """Merge-patch an object."""
        self("patch", kind, name, "--type=merge", "-p", json.dumps(change), *more)


def until(what: str, look: Callable[[], T]) -> T:
    """Look again until there is something true to see."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {PATIENCE:.0f} s: {what}")


@dataclass
class Operator:
    """The operator as a process of its own, with the rights of its own service account."""

    kubectl: Kubectl
    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    ports: list[int] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """Everything it has written so far."""
        return self.folder / "operator.log"

    def start(self) -> None:
        """Start it, and wait until it has listed everything."""
        self.ports = free_ports(2)
        before = self.log.read_text().count("serving namespaces") if self.log.exists() else 0
        env = {
            **os.environ,
            **self.env,
            "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT / 'workloads'}",
            "KUBECONFIG": str(self._kubeconfig()),
            "NAMESPACES": self.kubectl.namespace,
            "HEALTH_PORT": str(self.ports[0]),
            "METRICS_PORT": str(self.ports[1]),
        }
        with self.log.open("ab") as out:
            command = [sys.executable, "-m", "mlops_operator"]
            self.process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
        until("the operator serves", lambda: self.log.read_text().count("serving namespaces") > before)

    def stop(self) -> None:
        """End it as a node would; it must go within its grace."""
        assert self.process is not None
        assert self.process.poll() is None, f"the operator has ended: {self.log.read_text()[-2000:]}"
        self.process.terminate()
        assert self.process.wait(timeout=15) == 0

    def writes(self) -> dict[str, float]:
        """What it has written since its start, by verb and kind."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith("mlops_operator_writes_total{"))
        return {name: float(value) for name, value in found}

    def _kubeconfig(self) -> Path:
        token = self.kubectl("create", "token", "mlops-operator", "-n", "mlops-system").strip()
        admin = yaml.safe_load(self.kubectl.cluster.kubeconfig.read_text())
        admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
        admin["current-context"] = self.kubectl.cluster.context
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(admin))
        return path


def run_of(name: str, **spec: Any) -> dict[str, Any]:
    """A TrainingRun to apply."""
    kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "TrainingRun"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def condition(resource: Mapping[str, Any], type_: str = "Succeeded") -> tuple[str, str]:
    """Status and reason of a condition; empty before the first pass."""
    conditions = resource.get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == type_), ("", ""))


def until_reason(kubectl: Kubectl, name: str, reason: str) -> dict[str, Any]:
    """The TrainingRun, once its Succeeded has that reason."""
    seen: list[Any] = []

    def look() -> dict[str, Any]:
        found = kubectl.get("trainingrun", name)
        seen.append(found.get("status", {}).get("conditions"))
        return found if condition(found)[1] == reason else {}

    return until(f"{name} is {reason}; last seen: {seen[-1:]}", look)


def pod_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The newest pod of a run's Job that is not being deleted."""

    def look() -> list[dict[str, Any]]:
        pods = kubectl.items("pods", "-l", f"app.kubernetes.io/instance={name}")
        live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted(live, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))[-1:]

    return until(f"a pod of {name}", look)[0]


def report(kubectl: Kubectl, name: str, phase: str, states: Mapping[str, Mapping[str, Any]], **status: Any) -> None:
    """Write into the status of the run's pod what a kubelet would; stages not named wait."""
    pod = pod_of(kubectl, name)
    waiting = {"waiting": {"reason": "PodInitializing"}}
    containers = [
        {
            "name": stage,
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": dict(states.get(stage, waiting)),
        }
        for stage in STAGES
    ]
    change = {
        "phase": phase,
        "initContainerStatuses": containers[:-1],
        "containerStatuses": containers[-1:],
        **status,
    }
    kubectl.patch("pod", pod["metadata"]["name"], {"status": change}, "--subresource=status")


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    """The state of a stage that has ended."""
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}


def ok(**summary: Any) -> dict[str, Any]:
    """The state of a stage that has ended well."""
    return ended(0, json.dumps({"ok": True, "summary": summary}), "Completed")


RUNNING: Mapping[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def apply(kubectl: Kubectl, name: str, **spec: Any) -> None:
    """Create a TrainingRun whose key is its own: the seed follows from the name."""
    parameters = {"seed": int.from_bytes(name.encode(), "big") % 2**31}
    kubectl("create", "-f", "-", given=run_of(name, **{"parameters": parameters, **spec}))


def finish(kubectl: Kubectl, name: str) -> None:
    """All five stages end well."""
    states = {stage: ok() for stage in STAGES}
    states["train"] = ok(epochs=20, valAccuracy=0.9)
    states["evaluate"] = ok(sha256=SHA256, testAccuracy=0.91, testCount=30, dataVersion="d1")
    report(kubectl, name, "Succeeded", states)
