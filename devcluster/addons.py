"""What a cloud's cluster brings beside the control plane: DNS, metrics, volumes, load balancer, PodMonitoring.

CoreDNS and metrics-server run on the node itself, so that they need no image and are there before the first pod.
"""

import base64
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from devcluster import commands, host, paths, processes
from devcluster.backend import Cluster
from devcluster.control_plane import answers, listens
from devcluster.paths import State

MANIFESTS = Path(__file__).resolve().parent / "manifests"
DNS_HEALTH_PORT, METRICS_PORT = 20080, 20443
VOLUMES = ("1", "2", "3")  # the folders of manifests/volumes.yaml


def apply(cluster: Cluster, names: tuple[str, ...], **placeholders: str) -> None:
    """Apply manifests of this package by name, e.g. `podmonitorings`, with `${NAME}` in them replaced."""
    text = "\n---\n".join((MANIFESTS / f"{name}.yaml").read_text() for name in names)
    for name, value in placeholders.items():
        text = text.replace(f"${{{name}}}", value)
    commands.run(*cluster.command("apply", "--server-side", "--force-conflicts", "-f-"), stdin=text)


def up(state: State, cluster: Cluster, programs: Mapping[str, Path]) -> None:
    """Install the manifests and start the programs."""
    authority = base64.b64encode((state.pki / "ca.crt").read_bytes()).decode()
    apply(cluster, ("rbac", "dns", "metrics-server", "podmonitorings", "rules"), CA_BUNDLE=authority)
    _make_volumes(state, cluster)
    _start_dns(state, programs["coredns"])
    _start_metrics(state, programs["metrics-server"])
    start_balancer(state, state.kubeconfig_of("addons"), *host.BALANCER_ADDRESSES)


def start_balancer(state: State, kubeconfig: Path, first: str, count: str) -> None:
    """Start what gives Services of type LoadBalancer their addresses: `count` of them from `first` on."""
    command = [sys.executable, "-m", "devcluster.loadbalancer", str(kubeconfig), first, count]
    processes.start(state, "loadbalancer", command, {"PYTHONPATH": str(paths.CHECKOUT)})


def _make_volumes(state: State, cluster: Cluster) -> None:
    """Offer folders of the node as volumes; the kubelet gives each to the group of the pod that claims it."""
    folder = state.root / "volumes"
    for number in VOLUMES:
        (folder / number).mkdir(parents=True, exist_ok=True)
    apply(cluster, ("volumes",), VOLUMES=str(folder))


def _start_dns(state: State, program: Path) -> None:
    corefile = state.root / "Corefile"
    corefile.write_text(f""".:53 {{
    bind {host.NODE_ADDRESS}
    errors
    health {host.NODE_ADDRESS}:{DNS_HEALTH_PORT}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {state.kubeconfig_of("addons")}
        pods insecure
        ttl 5
    }}
    forward . {state.root}/resolv.conf
    cache 5
    reload
}}
""")
    processes.start(state, "coredns", [program, "-conf", corefile])
    processes.wait(state, "coredns", partial(answers, f"http://{host.NODE_ADDRESS}:{DNS_HEALTH_PORT}/health"), 30)


def _start_metrics(state: State, program: Path) -> None:
    config, pki = state.kubeconfig_of("addons"), state.pki
    processes.start(
        state,
        "metrics-server",
        [
            program, f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", f"--bind-address={host.NODE_ADDRESS}",
            f"--secure-port={METRICS_PORT}", f"--tls-cert-file={pki}/metrics-server.crt",
            f"--tls-private-key-file={pki}/metrics-server.key", f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP", "--kubelet-use-node-status-port",
            "--metric-resolution=10s", "--kubelet-request-timeout=5s",
        ],
    )  # fmt: skip
    processes.wait(state, "metrics-server", partial(listens, host.NODE_ADDRESS, METRICS_PORT), 30)
