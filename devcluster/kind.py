"""The backend with a container engine: a cluster by kind in docker, with a registry and load balancer addresses.

It needs no root and changes nothing outside docker but its own state folder. It only calls docker, kind and kubectl.
"""

import ipaddress
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from devcluster import addons, commands, docker, paths, processes, programs
from devcluster.backend import Cluster
from devcluster.control_plane import check_port
from devcluster.errors import DevclusterError
from devcluster.images import Target
from devcluster.paths import State
from devcluster.progress import Reporter

NAME = "cats-dogs"
# Kubernetes 1.36 as the release notes of kind v0.33.0 name it; an older kind can't configure its kubeadm.
NODE_IMAGE = "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
VERSION = (0, 33)
NETWORK = "kind"  # docker's network of all clusters by kind
REGISTRY, REGISTRY_IMAGE, REGISTRY_PORT = "cats-dogs-registry", "registry:3", 5001
POOL_BITS = 26  # 64 addresses for Services
READY_SECONDS, POLL_SECONDS = 180, 1.0


def trouble() -> str:
    """Why kind can't be used on this machine, in a few words, or an empty string."""
    if shutil.which("kind") is None:
        return "kind is not on the PATH"
    if not docker.answers():
        return f"no docker daemon answers within {docker.ANSWER_SECONDS} s"
    said = commands.run("kind", "version", check=False)
    version = re.search(r"\bv(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < VERSION:
        return f"kind v{VERSION[0]}.{VERSION[1]} or newer is needed, this is {said.strip() or 'of no known version'}"
    return ""


def up(report: Reporter) -> Cluster:
    """Start cluster, registry and add-ons, or what is missing of them."""
    if why := trouble():
        raise DevclusterError(f"kind can't be used: {why}; DEVCLUSTER=node takes a bare node instead")
    state = paths.kind_state()
    with report.step(f"kind: {NODE_IMAGE.partition('@')[0]}") as step:
        if _containers():
            _start_again(state)
        else:
            _create(state, lambda line: step.update(None, line.strip(" ✓•")))
    with report.step("Image registry"):
        _start_registry()
    cluster = Cluster(state.kubeconfig, f"kind-{NAME}", programs.kubectl(report))
    with report.step("Add-ons: metrics, load balancer, PodMonitoring") as step:
        _wait_ready(cluster)
        addons.apply(cluster, ("podmonitorings", "rules", "metrics-server-in-pod"))
        _start_balancer(state)
        step.update(None, "waiting for metrics-server")
        waiting = ("rollout", "status", "deployment/metrics-server", "--namespace=kube-system")
        commands.run(*cluster.command(*waiting, f"--timeout={READY_SECONDS}s"))
    return cluster


def found() -> Cluster:
    """The cluster by kind; raises `DevclusterError` where there is none."""
    kubeconfig = paths.kind_state().kubeconfig
    if not kubeconfig.exists():
        raise DevclusterError("there is no cluster: `python -m devcluster up` starts one")
    return Cluster(kubeconfig, f"kind-{NAME}", programs.kubectl(Reporter()))


def down() -> list[str]:
    """Remove cluster and registry. What the registry holds stays in the docker volume of its name, as a cache."""
    state, names = paths.kind_state(), list(status())
    processes.stop(state, "loadbalancer")
    commands.run("kind", "delete", "cluster", f"--name={NAME}", f"--kubeconfig={state.kubeconfig}")
    commands.run("docker", "rm", "--force", REGISTRY, check=False)
    shutil.rmtree(state.root, ignore_errors=True)
    return names


def status() -> dict[str, str]:
    """Each container, with docker's word on it, and the load balancer with its pid."""
    state = paths.kind_state()
    containers = _containers() | _containers(f"name=^{REGISTRY}$")
    parts = {name: "runs" if word == "running" else "" for name, word in containers.items()}
    for name in processes.started(state):
        pid = processes.running(state, name)
        parts[name] = f"runs, pid {pid}" if pid else ""
    return parts


def target() -> Target:
    """The registry's place, by the one name that this machine and the nodes have for it; filled by docker."""
    return Target(f"localhost:{REGISTRY_PORT}/cats-dogs", docker)


def _containers(which: str = f"label=io.x-k8s.kind.cluster={NAME}") -> dict[str, str]:
    """Containers by docker's filter, by default the nodes: name and state."""
    listed = commands.run("docker", "ps", "--all", f"--filter={which}", "--format={{.Names}} {{.State}}")
    return dict(line.split(" ", 1) for line in sorted(listed.splitlines()))


def _create(state: State, tell: Callable[[str], None]) -> None:
    for name, patch in small_requests().items():
        paths.write(state.root / "patches" / f"{name}+strategic.yaml", yaml.safe_dump(patch))
    described = configuration(state.root / "patches")
    config = paths.write(state.root / "kind.yaml", yaml.safe_dump(described, sort_keys=False))
    command = ["kind", "create", "cluster", f"--config={config}", f"--kubeconfig={state.kubeconfig}"]
    code, lines = commands.follow(command, tell)
    if code:
        log = paths.write(state.logs / "kind.log", "\n".join(lines) + "\n")
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no message")
        raise DevclusterError(f"kind can't create the cluster: {said} (all of it: {log})")


def configuration(patches: Path) -> dict[str, object]:
    """One node, with `small_requests` from a folder, and an HPA that answers within a demo, as on the bare node."""
    quick = {
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "15s",
        "horizontal-pod-autoscaler-downscale-stabilization": "30s",
    }
    kubeadm = [
        {"kind": "ClusterConfiguration", "controllerManager": {"extraArgs": quick}},
        {"kind": "InitConfiguration", "patches": {"directory": "/kind/patches"}},
    ]
    mount = {"hostPath": str(patches), "containerPath": "/kind/patches", "readOnly": True}
    return {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "name": NAME,
        "nodes": [{"role": "control-plane", "image": NODE_IMAGE, "extraMounts": [mount]}],
        "kubeadmConfigPatches": [yaml.safe_dump(patch, sort_keys=False) for patch in kubeadm],
    }


def small_requests() -> dict[str, dict[str, object]]:
    """Patches by kubeadm's name of what they change: on two cores its requests leave no room for a training pod."""

    def containers(name: str) -> dict[str, object]:
        return {"spec": {"containers": [{"name": name, "resources": {"requests": {"cpu": "10m"}}}]}}

    parts = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    dns: dict[str, object] = {"spec": {"replicas": 1, "template": containers("coredns")}}
    return {**{part: containers(part) for part in parts}, "corednsdeployment": dns}


def _start_again(state: State) -> None:
    """Start nodes that were stopped, and write the kubeconfig anew if it was lost."""
    for node in _containers():
        commands.run("docker", "start", node)
    commands.run("kind", "export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={state.kubeconfig}")


def _wait_ready(cluster: Cluster) -> None:
    """Wait for the node. An API server that starts again first refuses connections, then forbids everything."""
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            commands.run(*cluster.command("wait", "node", "--all", "--for=condition=Ready", "--timeout=10s"))
        except DevclusterError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def _start_registry() -> None:
    """Start the registry in the nodes' network, and have the nodes reach it under its name on this machine.

    This is kind's documented arrangement: https://kind.sigs.k8s.io/docs/user/local-registry/
    """
    if _containers(f"name=^{REGISTRY}$"):
        commands.run("docker", "start", REGISTRY)
    else:
        check_port("the image registry", ("127.0.0.1", REGISTRY_PORT))
        commands.run(
            "docker", "run", "--detach", "--restart=always", f"--name={REGISTRY}", f"--network={NETWORK}",
            f"--publish=127.0.0.1:{REGISTRY_PORT}:5000", f"--volume={REGISTRY}:/var/lib/registry",
            "--env=OTEL_TRACES_EXPORTER=none", REGISTRY_IMAGE,
        )  # fmt: skip
    folder, hosts = f"/etc/containerd/certs.d/localhost:{REGISTRY_PORT}", f'[host."http://{REGISTRY}:5000"]\n'
    for node in _containers():
        commands.run("docker", "exec", node, "mkdir", "-p", folder)
        commands.run("docker", "exec", "-i", node, "cp", "/dev/stdin", f"{folder}/hosts.toml", stdin=hosts)


def _start_balancer(state: State) -> None:
    """Make a node answer for the last addresses of docker's network, which docker gives out last, and hand them out."""
    described = json.loads(commands.run("docker", "network", "inspect", NETWORK))
    subnets = [ipaddress.ip_network(entry["Subnet"]) for entry in described[0]["IPAM"]["Config"]]
    pool = last_addresses(next(subnet for subnet in subnets if isinstance(subnet, ipaddress.IPv4Network)))
    # A local route: the node answers ARP for all of them, and kube-proxy takes what a Service has.
    commands.run("docker", "exec", next(iter(_containers())), "ip", "route", "replace", "local", str(pool), "dev", "lo")
    addons.start_balancer(state, state.kubeconfig, str(pool[0]), str(pool.num_addresses - 1))  # the last is broadcast


def last_addresses(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """The last 64 addresses of a network, or the second half of a smaller one."""
    bits = max(POOL_BITS, subnet.prefixlen + 1)
    return ipaddress.IPv4Network((int(subnet.broadcast_address) & ~((1 << (32 - bits)) - 1), bits))
