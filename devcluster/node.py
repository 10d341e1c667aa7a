"""The node: containerd with runc, the kubelet and kube-proxy, on this machine itself.

It starts programs and writes their settings; images and the control plane are not its matter.
"""

import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml

from devcluster import host, paths, processes, runtime
from devcluster.control_plane import Layout, answers, check_port
from devcluster.errors import DevclusterError
from devcluster.paths import State

REGISTRY_PORT = 5000
DNS_ADDRESS = "10.201.0.10"
READY_SECONDS = 90.0
LAYOUT = Layout(
    context="cats-dogs", node="cats-dogs-node", address=host.NODE_ADDRESS,
    api_port=6443, etcd_port=12379, etcd_peer_port=12380, manager_port=20257, scheduler_port=20259,
)  # fmt: skip
KUBELET_PORT, KUBELET_HEALTH_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT = 20250, 20248, 20256, 20249


def up(state: State, programs: Mapping[str, Path], registry_data: Path) -> None:
    """Start registry, containerd, kubelet and kube-proxy, and wait until the node is ready."""
    if processes.running(state, "registry") is None:
        check_port("the image registry", ("127.0.0.1", REGISTRY_PORT))
    _start_registry(state, programs["registry"], registry_data)
    runtime.up(state, programs, REGISTRY_PORT)
    _start_kubelet(state, programs["kubelet"])
    _start_proxy(state, programs["kube-proxy"])
    _wait_ready(state, programs["kubectl"])


def _start_registry(state: State, program: Path, data: Path) -> None:
    settings = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{REGISTRY_PORT}"},
    }
    config = paths.write(state.root / "registry.yaml", yaml.safe_dump(settings))
    processes.start(state, "registry", [program, "serve", config], {"OTEL_TRACES_EXPORTER": "none"})


def _start_kubelet(state: State, program: Path) -> None:
    pki = state.pki
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": host.NODE_ADDRESS,
        "port": KUBELET_PORT,
        "healthzPort": KUBELET_HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{runtime.socket_of(state)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{host.CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(_resolv_conf(state)),
        # The disk is the whole machine's: its fill must not evict the demo. Eviction is proved on kind.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "makeIPTablesUtilChains": False,
        "maxPods": 110,
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
    }
    config = paths.write(state.root / "kubelet.yaml", yaml.safe_dump(settings))
    processes.start(
        state,
        "kubelet",
        [
            program, f"--config={config}", f"--kubeconfig={state.kubeconfig_of('kubelet')}",
            f"--hostname-override={LAYOUT.node}", f"--node-ip={host.NODE_ADDRESS}",
            f"--root-dir={state.root / 'kubelet'}", f"--cert-dir={pki}",
            "--node-labels=topology.kubernetes.io/zone=local-a",
        ],
    )  # fmt: skip


def _resolv_conf(state: State) -> Path:
    """The machine's own name servers, less those that only the machine itself can ask."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    kept = [line for line in lines if line.startswith("nameserver") and not line.split()[1].startswith("127.")]
    return paths.write(state.root / "resolv.conf", "\n".join(kept) + "\n")


def _start_proxy(state: State, program: Path) -> None:
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(state.kubeconfig_of("kube-proxy"))},
        "clusterCIDR": "10.200.0.0/24",
        "hostnameOverride": LAYOUT.node,
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0},
    }
    config = paths.write(state.root / "kube-proxy.yaml", yaml.safe_dump(settings))
    processes.start(state, "kube-proxy", [program, f"--config={config}"])
    processes.wait(state, "kube-proxy", partial(answers, f"http://127.0.0.1:{PROXY_HEALTH_PORT}/healthz"), 30)


def _wait_ready(state: State, kubectl: Path) -> None:
    jsonpath = '{.status.conditions[?(@.type=="Ready")].status}{" "}{.status.conditions[?(@.type=="Ready")].message}'
    command = [
        str(kubectl), f"--kubeconfig={state.kubeconfig}", "get", "node", LAYOUT.node, f"-o=jsonpath={jsonpath}",
    ]  # fmt: skip
    said = ""

    def ready() -> bool:
        nonlocal said
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        time.sleep(0.2)
        return said.startswith("True")

    try:
        processes.wait(state, "kubelet", ready, READY_SECONDS)
    except DevclusterError as error:
        raise DevclusterError(f"the node does not become ready ({said or 'not registered'}): {error}") from None
