"""kubectl as a library: every word that the demo says to a cluster goes through here.

It must not interpret what it applies or reads; a failing call is one line with kubectl's own reason.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from devcluster import programs

Resource = Mapping[str, Any]
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Kubectl:
    """One kubectl for one cluster. `context` is empty for a kubeconfig's current one."""

    program: Path
    kubeconfig: Path
    context: str = ""

    def run(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises DemoError with its last line when it fails."""
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}"]
        command += [f"--context={self.context}"] if self.context else []
        what = f"kubectl {' '.join(words)}"
        try:
            done = subprocess.run(
                [*command, *words],
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
        """How a person reaches the same cluster from a shell."""
        context = f"; kubectl config use-context {self.context}" if self.context else ""
        return f"export KUBECONFIG={self.kubeconfig}{context}"


def own(kubeconfig: Path) -> Kubectl:
    """kubectl for the local cluster: the program that the cluster brought along."""
    return Kubectl(programs.path("kubectl"), kubeconfig)


def existing(context: str, environment: Mapping[str, str]) -> Kubectl:
    """kubectl for a context of the user's kubeconfig. Raises DemoError when there is no kubectl."""
    program = shutil.which("kubectl")
    if program is None:
        raise DemoError(f"CONTEXT={context} needs kubectl on the PATH; there is none")
    file = environment.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return Kubectl(Path(program), Path(file), context)


def condition(resource: Resource, name: str) -> Mapping[str, str]:
    """A condition of a resource's status, or an empty mapping. One of an older generation is no answer."""
    generation = resource.get("metadata", {}).get("generation", 0)
    conditions: Sequence[Mapping[str, Any]] = resource.get("status", {}).get("conditions", ())
    for found in conditions:
        if found["type"] == name and found.get("observedGeneration", generation) == generation:
            return found
    return {}
