"""kubectl as a library: every word that the demo says to a cluster goes through here.

It must not interpret what it applies or reads; a failing call is one line with kubectl's own reason.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from devcluster.backend import Cluster

Resource = Mapping[str, Any]
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Kubectl:
    """One kubectl for one cluster. Without `kubeconfig` kubectl looks for the context where it always does."""

    program: Path
    kubeconfig: Path | None
    context: str

    def command(self) -> list[str]:
        """The words that each call begins with."""
        file = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [str(self.program), *file, f"--context={self.context}"]

    def run(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises DemoError with its last line when it fails."""
        what = f"kubectl {' '.join(words)}"
        try:
            done = subprocess.run(
                [*self.command(), *words],
                input=stdin,
                text=True,
                capture_output=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(f"`{what}` got no answer in {TIMEOUT_SECONDS} s; is the cluster still up?") from None
        except OSError as error:
            raise DemoError(f"{self.program} can't be run ({error.strerror}); install kubectl") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise DemoError(f"`{what}` failed: {said[-1].removeprefix('Error from server ')}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str) -> Resource | None:
        """One object, or None where there is none."""
        text = self.run("get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "-o", "json")
        found: Resource | None = json.loads(text) if text.strip() else None
        return found

    def apply(self, *resources: Resource) -> None:
        """Server-side apply; fields that `kubectl scale` and the like own by hand are taken back."""
        self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=cats-dogs-demo",
            "--filename=-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)}),
        )

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """Delete one object with what it owns, and wait until it is gone."""
        self.run(
            "delete",
            kind,
            name,
            f"--namespace={namespace}",
            "--cascade=foreground",
            "--ignore-not-found",
            "--timeout=50s",
        )

    def words(self) -> str:
        """How a person reaches the same cluster from a shell: our own kubeconfig knows this one context alone."""
        return f"export KUBECONFIG={self.kubeconfig}" if self.kubeconfig else f"kubectl --context={self.context}"


def of(cluster: Cluster) -> Kubectl:
    """kubectl for a cluster of devcluster's."""
    return Kubectl(cluster.kubectl, cluster.kubeconfig, cluster.context)


def condition(resource: Resource, name: str) -> Mapping[str, str]:
    """A condition of a resource's status, or an empty mapping. One of an older generation is no answer."""
    generation = resource.get("metadata", {}).get("generation", 0)
    conditions: Sequence[Mapping[str, Any]] = resource.get("status", {}).get("conditions", ())
    for found in conditions:
        if found["type"] == name and found.get("observedGeneration", generation) == generation:
            return found
    return {}
