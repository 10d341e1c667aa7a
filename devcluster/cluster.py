"""The whole local cluster: up, down and status. The one door that the demo and the tests use.

It only puts the parts in order; each part's settings are its own module's matter.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster import addons, control_plane, host, node, paths, processes, programs
from devcluster.errors import DevclusterError
from devcluster.paths import State
from devcluster.progress import Reporter


@dataclass(frozen=True)
class Cluster:
    """A running cluster: how kubectl reaches it."""

    kubeconfig: Path
    context: str


def up(report: Reporter) -> Cluster:
    """Start the cluster with its node, or what is missing of it; a second call on a healthy one changes nothing.

    Raises `DevclusterError` with the line that says what is missing or what died.
    """
    host.require_root()
    state = paths.node_state()
    host.install_packages(report)
    with report.step("Control plane programs") as step:
        binaries = programs.ensure(programs.CONTROL_PLANE, report)
        step.done(f"Kubernetes {programs.KUBERNETES}")
    with report.step("Control plane"):
        host.prepare(state)
        control_plane.up(state, node.LAYOUT, binaries)
    with report.step("Node programs"):
        binaries |= programs.ensure(programs.NODE, report)
    with report.step("Node") as step:
        node.up(state, binaries, paths.cache() / "registry")
        step.done(node.LAYOUT.node)
    with report.step("Add-on programs"):
        binaries |= programs.ensure(programs.ADDONS, report)
    with report.step("Add-ons: DNS, metrics, load balancer, PodMonitoring"):
        addons.up(state, binaries)
    return Cluster(state.kubeconfig, node.LAYOUT.context)


def down() -> list[str]:
    """Stop the cluster and remove all that it left on the machine, after a crash too; returns what was stopped."""
    host.require_root()
    state = paths.node_state()
    names = processes.started(state)
    for name in ("kubelet", *(each for each in names if each != "kubelet")):
        processes.stop(state, name)
    host.clean(state)
    return names


def status() -> dict[str, int | None]:
    """Each program that was started, with its pid, or None where it does not run any more."""
    state = paths.node_state()
    return {name: processes.running(state, name) for name in sorted(processes.started(state))}


def nodes(cluster: Cluster) -> str:
    """What `kubectl get nodes` prints; raises `DevclusterError` when the cluster does not answer."""
    kubectl = programs.path("kubectl")
    command = [str(kubectl), f"--kubeconfig={cluster.kubeconfig}", "get", "nodes", "-o", "wide"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevclusterError(f"the cluster does not answer: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


@contextmanager
def isolated_control_plane(report: Reporter) -> Iterator[Cluster]:
    """An API server with its controllers and no node, apart from every other cluster. Needs no root."""
    binaries = programs.ensure(programs.CONTROL_PLANE, report)
    state = State(Path(tempfile.mkdtemp(prefix="devcluster-")))
    layout = control_plane.isolated_layout()
    try:
        control_plane.up(state, layout, binaries)
        addons.apply(state, binaries["kubectl"], ("podmonitorings",))
        yield Cluster(state.kubeconfig, layout.context)
    finally:
        for name in processes.started(state):
            processes.stop(state, name)
        shutil.rmtree(state.root, ignore_errors=True)
