"""The local cluster, whatever runs it: the bare node, kind, or a cluster of yours. The one door of demo and tests.

It only chooses the backend; how one is started, stopped and filled with images is the backend's own matter.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import addons, bare, commands, control_plane, images, kind, processes, programs
from devcluster.backend import Backend, Cluster
from devcluster.errors import DevclusterError
from devcluster.existing import Existing
from devcluster.paths import State
from devcluster.progress import Reporter

LOCAL: dict[str, Backend] = {"node": bare, "kind": kind}
CHOICE = "DEVCLUSTER"


def choose(context: str | None = None) -> tuple[Backend, str]:
    """The backend and the line that says which one it is and how to choose another.

    A context of the user's kubeconfig when it is given; else what `DEVCLUSTER` (node or kind) says; else the bare
    node where one has been started; else kind where it can be used; else the bare node.
    """
    if context:
        return Existing(context), f"context {context} of your kubeconfig: nothing of it is started or removed"
    if wanted := os.environ.get(CHOICE):
        if wanted not in LOCAL:
            raise DevclusterError(f"{CHOICE}={wanted} is neither node nor kind")
        return LOCAL[wanted], f"{_NAMES[wanted]}, as {CHOICE}={wanted} says"
    if bare.there():
        return bare, f"{_NAMES['node']}, which is there already ({CHOICE}=kind takes kind)"
    if trouble := kind.trouble():
        return bare, f"{_NAMES['node']}; not kind: {trouble}"
    return kind, f"{_NAMES['kind']} ({CHOICE}=node takes the bare node)"


_NAMES = {"node": "a bare node on this machine", "kind": "kind in docker"}


def up(report: Reporter, context: str | None = None) -> Cluster:
    """Start the cluster with its node, or what is missing of it; a second call on a healthy one changes nothing.

    Raises `DevclusterError` with the line that says what is missing or what died.
    """
    backend, line = choose(context)
    report.note(f"cluster: {line}")
    return backend.up(report)


def found(context: str | None = None) -> Cluster:
    """The cluster that is there. Raises `DevclusterError` where there is none."""
    return choose(context)[0].found()


def down(context: str | None = None) -> list[str]:
    """Stop the cluster and remove all that it left on the machine, after a crash too; returns what was stopped."""
    return choose(context)[0].down()


def status(context: str | None = None) -> dict[str, str]:
    """Each part that was started, with words on how it runs; no words where it does not run any more."""
    return choose(context)[0].status()


def build(names: Iterable[str], report: Reporter, context: str | None = None) -> dict[str, str]:
    """Build what the cluster's registry does not hold yet; returns each image's reference by digest."""
    return images.build(names, report, choose(context)[0].target())


def load(image: str, context: str | None = None) -> str:
    """Push an image of the builder's own store to the cluster's registry; returns its reference by digest."""
    return images.load(image, choose(context)[0].target())


def nodes(cluster: Cluster) -> str:
    """What `kubectl get nodes` prints; raises `DevclusterError` when the cluster does not answer."""
    return commands.run(*cluster.command("get", "nodes", "-o", "wide", "--request-timeout=20s"))


@contextmanager
def isolated_control_plane(report: Reporter, minor: str = "1.36", controllers: bool = True) -> Iterator[Cluster]:
    """An API server with its controllers and no node, apart from every other cluster. Needs no root.

    `minor` is one of `programs.MINORS`; raises `DevclusterError` for another one. Without `controllers` nothing but
    the API server acts: no Job gets a pod, nothing is collected.
    """
    binaries = programs.control_plane(minor, report)
    state = State(Path(tempfile.mkdtemp(prefix="devcluster-")))
    layout = control_plane.isolated_layout()
    try:
        control_plane.up(state, layout, binaries, controllers)
        running = Cluster(state.kubeconfig, layout.context, binaries["kubectl"])
        addons.apply(running, ("podmonitorings", "rules"))
        yield running
    finally:
        for name in processes.started(state):
            processes.stop(state, name)
        shutil.rmtree(state.root, ignore_errors=True)
