"""The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

It starts programs and waits for them; what they were built from and how a node joins is not its matter.
"""

import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devcluster import pki, processes
from devcluster.errors import DevclusterError
from devcluster.paths import State

READY_SECONDS = 60.0


@dataclass(frozen=True)
class Layout:
    """Names, addresses and ports of one cluster. `address` is where the API server listens."""

    context: str
    node: str
    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    manager_port: int
    scheduler_port: int
    pod_cidr: str = "10.200.0.0/16"
    service_cidr: str = "10.201.0.0/16"
    service_address: str = "10.201.0.1"

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.api_port}"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def isolated_layout() -> Layout:
    """A control plane of its own on free ports of the loopback address, for tests."""
    api, etcd, peer, manager, scheduler = free_ports(5)
    return Layout("devcluster-control-plane", "none", "127.0.0.1", api, etcd, peer, manager, scheduler)


def check_ports(layout: Layout, state: State) -> None:
    """Raise `DevclusterError` when a port that the control plane needs is taken by somebody else."""
    wanted = {
        "etcd": ("127.0.0.1", layout.etcd_port),
        "kube-apiserver": (layout.address, layout.api_port),
        "kube-controller-manager": ("127.0.0.1", layout.manager_port),
        "kube-scheduler": ("127.0.0.1", layout.scheduler_port),
    }
    for name, place in wanted.items():
        if processes.running(state, name) is None:
            check_port(name, place)


def check_port(name: str, place: tuple[str, int]) -> None:
    """Raise `DevclusterError` when `place` (address, port) is taken."""
    try:
        socket.create_server(place).close()
    except OSError as error:
        raise DevclusterError(
            f"{place[0]}:{place[1]} is in use and {name} needs it ({error.strerror}): "
            f"`ss -ltnp 'sport = :{place[1]}'` shows by what; stop that"
        ) from None


def up(state: State, layout: Layout, programs: Mapping[str, Path], controllers: bool = True) -> None:
    """Start the control plane and wait until it is ready; without `controllers`, etcd and the API server alone."""
    check_ports(layout, state)
    pki.make(
        state,
        layout.node,
        [layout.address, layout.service_address, "127.0.0.1"],
        layout.server,
        layout.context,
    )
    processes.start(state, "etcd", [programs["etcd"], *_etcd(state, layout)])
    processes.start(state, "kube-apiserver", [programs["kube-apiserver"], *_apiserver(state, layout)])
    processes.wait(state, "kube-apiserver", lambda: _ready(state, layout), READY_SECONDS)
    if not controllers:
        return
    # Only now: both exit when the API server has not written its own roles yet.
    clients = {
        "kube-controller-manager": (layout.manager_port, _controller_manager(state, layout)),
        "kube-scheduler": (layout.scheduler_port, _scheduler(state, layout)),
    }
    for name, (_, arguments) in clients.items():
        processes.start(state, name, [programs[name], *arguments])
    for name, (port, _) in clients.items():
        processes.wait(state, name, partial(listens, "127.0.0.1", port), READY_SECONDS)


def _ready(state: State, layout: Layout) -> bool:
    context = ssl.create_default_context(cafile=state.pki / "ca.crt")
    context.load_cert_chain(state.pki / "admin.crt", state.pki / "admin.key")
    try:
        with urllib.request.urlopen(f"{layout.server}/readyz", timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def listens(address: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


def answers(address: str) -> bool:
    """Whether an HTTP GET is answered with success."""
    try:
        urllib.request.urlopen(address, timeout=1).close()
    except OSError:
        return False
    return True


def _etcd(state: State, layout: Layout) -> list[str]:
    client, peer = f"https://127.0.0.1:{layout.etcd_port}", f"https://127.0.0.1:{layout.etcd_peer_port}"
    return [
        f"--data-dir={state.root / 'etcd'}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={state.pki}/etcd.crt", f"--key-file={state.pki}/etcd.key",
        f"--peer-cert-file={state.pki}/etcd.crt", f"--peer-key-file={state.pki}/etcd.key",
        f"--trusted-ca-file={state.pki}/ca.crt", f"--peer-trusted-ca-file={state.pki}/ca.crt",
        "--client-cert-auth", "--peer-client-cert-auth",
        "--unsafe-no-fsync", "--log-level=warn",
    ]  # fmt: skip


def _apiserver(state: State, layout: Layout) -> list[str]:
    p = state.pki
    return [
        f"--bind-address={layout.address}", f"--secure-port={layout.api_port}",
        f"--advertise-address={layout.address}", "--endpoint-reconciler-type=" + _reconciler(layout),
        f"--etcd-servers=https://127.0.0.1:{layout.etcd_port}",
        f"--etcd-cafile={p}/ca.crt", f"--etcd-certfile={p}/etcd.crt", f"--etcd-keyfile={p}/etcd.key",
        f"--client-ca-file={p}/ca.crt",
        f"--tls-cert-file={p}/apiserver.crt", f"--tls-private-key-file={p}/apiserver.key",
        f"--kubelet-client-certificate={p}/apiserver-kubelet.crt",
        f"--kubelet-client-key={p}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={p}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={p}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={p}/front-proxy.crt", f"--proxy-client-key-file={p}/front-proxy.key",
        "--enable-aggregator-routing=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={p}/service-accounts.key",
        f"--service-account-signing-key-file={p}/service-accounts.key",
        f"--service-cluster-ip-range={layout.service_cidr}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=true", "--allow-privileged=true", "--profiling=false",
    ]  # fmt: skip


def _reconciler(layout: Layout) -> str:
    """The loopback address is no endpoint for pods, so a control plane without a node publishes none."""
    return "none" if layout.address.startswith("127.") else "lease"


def _controller_manager(state: State, layout: Layout) -> list[str]:
    config = state.kubeconfig_of("controller-manager")
    return [
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1", f"--secure-port={layout.manager_port}",
        "--leader-elect=false", "--use-service-account-credentials=true",
        # With the default of 20 requests a second a Job waits for its pod when a few begin at once.
        "--kube-api-qps=200", "--kube-api-burst=400",
        f"--service-account-private-key-file={state.pki}/service-accounts.key",
        f"--root-ca-file={state.pki}/ca.crt",
        f"--cluster-signing-cert-file={state.pki}/ca.crt", f"--cluster-signing-key-file={state.pki}/ca.key",
        f"--cluster-cidr={layout.pod_cidr}", "--allocate-node-cidrs=true",
        # A laptop's HPA should answer within a demo, not within five minutes.
        "--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=15s",
        "--horizontal-pod-autoscaler-downscale-stabilization=30s",
    ]  # fmt: skip


def _scheduler(state: State, layout: Layout) -> list[str]:
    config = state.kubeconfig_of("scheduler")
    return [
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1", f"--secure-port={layout.scheduler_port}", "--leader-elect=false",
    ]  # fmt: skip
