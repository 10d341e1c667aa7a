"""The backend without a container engine: every part of the cluster runs on this machine itself.

It only puts the parts in order; each part's settings are its own module's matter.
"""

from devcluster import addons, buildah, control_plane, host, node, paths, processes, programs
from devcluster.backend import Cluster
from devcluster.errors import DevclusterError
from devcluster.images import Target
from devcluster.progress import Reporter


def there() -> bool:
    """Whether a bare node was started here and not removed yet, alive or crashed."""
    return paths.node_state().root.exists()


def up(report: Reporter) -> Cluster:
    """Start control plane, node and add-ons, or what is missing of them. Needs root."""
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
        addons.up(state, found(), binaries)
    return found()


def found() -> Cluster:
    """The bare node's cluster; raises `DevclusterError` where there is none."""
    kubeconfig = paths.node_state().kubeconfig
    if not kubeconfig.exists():
        raise DevclusterError("there is no cluster: `python -m devcluster up` starts one")
    return Cluster(kubeconfig, node.LAYOUT.context, programs.path("kubectl"))


def down() -> list[str]:
    """Stop the programs, kubelet first, and take back all that was done to the machine. Needs root."""
    host.require_root()
    state = paths.node_state()
    names = processes.started(state)
    for name in ("kubelet", *(each for each in names if each != "kubelet")):
        processes.stop(state, name)
    host.clean(state)
    return names


def status() -> dict[str, str]:
    """Each program that was started, with its pid."""
    state = paths.node_state()
    pids = {name: processes.running(state, name) for name in sorted(processes.started(state))}
    return {name: f"runs, pid {pid}" if pid else "" for name, pid in pids.items()}


def target() -> Target:
    """The node's own registry, filled by buildah."""
    return Target(f"localhost:{node.REGISTRY_PORT}/cats-dogs", buildah)
