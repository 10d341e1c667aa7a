"""What a cloud's cluster brings beside the control plane: DNS, metrics, load balancer addresses, PodMonitoring.

CoreDNS and metrics-server run on the node itself, so that they need no image and are there before the first pod.
"""

import base64
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from devcluster import host, paths, processes
from devcluster.control_plane import answers, listens
from devcluster.errors import DevclusterError
from devcluster.paths import State

MANIFESTS = Path(__file__).resolve().parent / "manifests"
DNS_HEALTH_PORT, METRICS_PORT = 20080, 20443


def apply(state: State, kubectl: Path, names: tuple[str, ...]) -> None:
    """Apply manifests of this package by name, e.g. `podmonitorings`."""
    text = "\n---\n".join((MANIFESTS / f"{name}.yaml").read_text() for name in names)
    text = text.replace("${CA_BUNDLE}", base64.b64encode((state.pki / "ca.crt").read_bytes()).decode())
    command = [
        str(kubectl),
        f"--kubeconfig={state.kubeconfig}",
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f-",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevclusterError(f"the add-ons can't be installed: {done.stderr.strip().splitlines()[-1]}")


def up(state: State, programs: Mapping[str, Path]) -> None:
    """Install the manifests and start the programs."""
    apply(state, programs["kubectl"], ("rbac", "dns", "metrics-server", "podmonitorings"))
    _start_dns(state, programs["coredns"])
    _start_metrics(state, programs["metrics-server"])
    balancer = [sys.executable, "-m", "devcluster.loadbalancer", str(state.kubeconfig_of("addons"))]
    processes.start(state, "loadbalancer", balancer, {"PYTHONPATH": str(paths.CHECKOUT)})


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
