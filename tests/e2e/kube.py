"""kubectl for the end-to-end tests: what a user types, with its output as text or JSON."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from demo.kubectl import Kubectl

NAMESPACE = "cats-dogs"
RUN = "e2e-run"  # the fixture `trained` makes it


class Kube:
    """kubectl on one cluster, in the workloads' namespace."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._command = [*kubectl.command(), f"--namespace={NAMESPACE}"]

    def run(self, *words: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One call; raises AssertionError with kubectl's own words when it fails and `check` is set."""
        done = subprocess.run([*self._command, *words], input=stdin, text=True, capture_output=True, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done

    def apply(self, *resources: dict[str, Any]) -> None:
        """Apply resources as a user does."""
        self.run("apply", "-f-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": resources}))

    def get(self, *words: str) -> dict[str, Any]:
        """One object, or a list of them."""
        return json.loads(self.run("get", *words, "-o", "json").stdout)

    def wait(self, resource: str, condition: str, seconds: int) -> None:
        """`kubectl wait`; on failure the message holds the resource's status."""
        done = self.run("wait", resource, f"--for={condition}", f"--timeout={seconds}s", check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.run('get', resource, '-o', 'yaml', check=False).stdout}"

    def condition(self, resource: str, name: str) -> dict[str, Any]:
        """One condition of a resource."""
        return next(c for c in self.get(resource)["status"]["conditions"] if c["type"] == name)


def eventually(what: str, true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until `true` says so; raises AssertionError naming `what` when it takes too long."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"after {seconds:.0f} s still not so: {what}"
        time.sleep(0.5)


def training_run(name: str, bucket: str, **spec: Any) -> dict[str, Any]:
    """A small TrainingRun that trains for some seconds on drawings."""
    return {
        "apiVersion": "mlops.cats-dogs.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "bucket": bucket,
            "parameters": {"epochs": 6, "maxTrainSeconds": 500},  # by epochs, so that a busy machine trains the same
            "resources": {"cpu": "500m"},
            **spec,
        },
    }


def model_server(name: str, run: str, **spec: Any) -> dict[str, Any]:
    """A ModelServer that serves the model of one run."""
    return {
        "apiVersion": "mlops.cats-dogs.io/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"modelFrom": {"trainingRun": run}, **spec},
    }
