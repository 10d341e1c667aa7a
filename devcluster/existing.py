"""The backend of `--context`: a cluster of the user's kubeconfig.

It starts and removes nothing; it can build images for such a cluster, into a registry that the user names.
"""

import json
import os
import shutil
from dataclasses import dataclass

from devcluster import buildah, commands, docker, programs
from devcluster.backend import Cluster
from devcluster.errors import DevclusterError
from devcluster.images import Target
from devcluster.progress import Reporter

REGISTRY = "REGISTRY"


@dataclass(frozen=True)
class Existing:
    """One context of the user's kubeconfig."""

    context: str

    def up(self, report: Reporter) -> Cluster:
        """Look whether the cluster answers."""
        cluster = Cluster(None, self.context, programs.kubectl(report))
        commands.run(*cluster.command("get", "namespaces", "--output=name", "--request-timeout=20s"))
        return cluster

    def found(self) -> Cluster:
        """The cluster, whether it answers or not."""
        return Cluster(None, self.context, programs.kubectl(Reporter()))

    def down(self) -> list[str]:
        """Nothing was started, so nothing is removed: always raises `DevclusterError` with the words that do it."""
        raise DevclusterError(
            f"{self.context} is a cluster of yours and is left as it is; "
            f"delete its namespaces cats-dogs and mlops-system and what is in crds/ to remove what the demo put there"
        )

    def status(self) -> dict[str, str]:
        """Each node, with whether it is ready."""
        listed = commands.run(*self.found().command("get", "nodes", "--output=json", "--request-timeout=20s"))
        ready = {
            node["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in node["status"]["conditions"]
            )
            for node in json.loads(listed)["items"]
        }
        return {name: "ready" if is_ready else "" for name, is_ready in ready.items()}

    def target(self) -> Target:
        """The registry that `REGISTRY` names, filled by docker, or by buildah where no docker answers."""
        registry = os.environ.get(REGISTRY, "").rstrip("/")
        if not registry:
            raise DevclusterError(
                f"set {REGISTRY} to a HOST/PATH that {self.context} pulls from: images are built here and pushed there"
            )
        if docker.answers():
            return Target(registry, docker)
        if shutil.which("buildah") is None:
            raise DevclusterError(f"docker or buildah is needed to build images for {REGISTRY}={registry}")
        return Target(registry, buildah)
