"""What the bare node, kind and an existing cluster have in common: the functions of a backend, and what they return.

It holds no backend; `devcluster.cluster` chooses one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devcluster.images import Target
from devcluster.progress import Reporter


@dataclass(frozen=True)
class Cluster:
    """A running cluster: how kubectl reaches it. Without `kubeconfig` it is kubectl's own choice, as $KUBECONFIG."""

    kubeconfig: Path | None
    context: str
    kubectl: Path

    def command(self, *words: str) -> list[str]:
        """A kubectl command on this cluster."""
        file = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [str(self.kubectl), *file, f"--context={self.context}", *words]


class Backend(Protocol):
    """A module of these functions, or an object."""

    def up(self, report: Reporter) -> Cluster:
        """Start the cluster, or what is missing of it."""

    def found(self) -> Cluster:
        """The cluster that is there; raises `DevclusterError` where there is none. Starts nothing."""

    def down(self) -> list[str]:
        """Stop the cluster and remove all that it left on the machine; returns the names of what ran."""

    def status(self) -> dict[str, str]:
        """Each part that was started, with words on how it runs; no words where it does not run any more."""

    def target(self) -> Target:
        """Where the cluster's images go, and what builds them."""
