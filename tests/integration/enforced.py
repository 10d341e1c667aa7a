"""Tries connections under NetworkPolicies: real packets, a real firewall (kube-router's) told by a real API server.

A pod here is a network namespace with an address, known to the API server as a pod; no kubelet and no image is needed.
Run as `python -m tests.integration.enforced <QUESTION >ANSWER` in a network namespace of its own, as its root: it
changes no firewall but that one's.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from devcluster import programs
from devcluster.cluster import isolated_control_plane
from devcluster.progress import Reporter
from tests.contract.policy_rules import Place
from tests.integration.world import Kubectl

GATEWAY, NODE = "10.8.255.254", "node"
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
PATIENCE, CONNECT_SECONDS = 90.0, 1.0
LIBC = ctypes.CDLL(None, use_errno=True)
Attempt = tuple[str, str, int]  # from, to, port


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


def apart(work: Callable[[], Any]) -> Any:
    """`work` in a thread of its own, whose network namespace may change; its result, or its exception."""
    result: list[Any] = []

    def body() -> None:
        try:
            result.append(work())
        except Exception as error:  # raised again below, where somebody sees it
            result.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def enter(network: int) -> None:
    if LIBC.setns(network, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def new_network() -> int:
    """A file descriptor of a new network namespace."""

    def make() -> int:
        if LIBC.unshare(NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)

    return int(apart(make))


def connect(number: int, ip: str) -> int:
    """A network namespace with the address `ip`, behind this namespace's router; returns its file descriptor."""
    network, outer, inner = new_network(), f"place{number}", f"inner{number}"
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", f"/proc/{os.getpid()}/fd/{network}")
    run("ip", "link", "set", outer, "up")
    run("ip", "route", "add", f"{ip}/32", "dev", outer)

    def inside() -> None:
        enter(network)
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{ip}/32", "dev", inner)
        run("ip", "link", "set", inner, "up")
        run("ip", "route", "add", GATEWAY, "dev", inner)
        run("ip", "route", "add", "default", "via", GATEWAY, "src", ip)

    apart(inside)
    return network


def listen(network: int, ports: set[int]) -> list[socket.socket]:
    def inside() -> list[socket.socket]:
        enter(network)
        return [socket.create_server(("0.0.0.0", port), backlog=512) for port in ports]

    found: list[socket.socket] = apart(inside)
    return found


def passes(network: int, ip: str, port: int) -> bool:
    def inside() -> bool:
        enter(network)
        try:
            socket.create_connection((ip, port), CONNECT_SECONDS).close()
        except OSError:
            return False
        return True

    return bool(apart(inside))


def make_router() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{GATEWAY}/32", "dev", "lo")
    for name, value in {"ip_forward": "1", "conf/all/send_redirects": "0", "conf/all/rp_filter": "0"}.items():
        with open(f"/proc/sys/net/ipv4/{name}", "w") as file:  # noqa: PTH123 - no file of a path to keep
            file.write(value)


def pod(name: str, place: Place) -> dict[str, Any]:
    ports = [{"name": each, "containerPort": port} for each, port in place.ports.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": place.namespace, "labels": dict(place.labels)},
        "spec": {
            "nodeName": NODE,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "none", "ports": ports}],
        },
    }


def tell(ask: Kubectl, places: dict[str, Place], policies: list[dict[str, Any]], namespaces: dict[str, Any]) -> None:
    """Make the API server know node, namespaces, pods with their addresses, and policies."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    pods = {f"p{number}": place for number, place in enumerate(places.values()) if place.namespace}
    spaces = {place.namespace for place in pods.values()}
    made: list[dict[str, Any]] = [node]
    for space in sorted(spaces - {"default"}):
        labels = {name: text for name, text in namespaces.get(space, {}).items() if "pod-security" not in name}
        made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}})
    made += [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": space}}
        for space in sorted(spaces)
    ]
    made += [pod(name, place) for name, place in pods.items()]
    ask("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": made})
    address = {"addresses": [{"type": "InternalIP", "address": GATEWAY}]}
    ask("patch", "node", NODE, "--subresource=status", "--type=merge", "-p", json.dumps({"status": address}))
    for name, place in pods.items():
        status = {"phase": "Running", "hostIP": GATEWAY, "podIP": place.ip, "podIPs": [{"ip": place.ip}]}
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        ask("patch", "pod", name, "-n", place.namespace, *patch)
    for policy in policies:
        policy["metadata"].pop("ownerReferences", None)
    ask("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": policies})


@contextlib.contextmanager
def firewall(kubeconfig: str) -> Iterator[None]:
    """kube-router's firewall, until the block ends. Its last words are raised when it dies."""
    program = programs.ensure(["kube-router"], Reporter())["kube-router"]
    only = ("--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--health-port=0")
    here = (f"--kubeconfig={kubeconfig}", f"--hostname-override={NODE}", "--service-cluster-ip-range=10.201.0.0/16")
    with subprocess.Popen([program, *only, *here], stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError(f"kube-router ended: {(process.stderr.read() if process.stderr else '')[-2000:]}")
        finally:
            process.kill()


def answer(question: dict[str, Any]) -> dict[str, list[Attempt]]:
    """Which attempts passed before the firewall was there, and which with it, once they are as wanted or time is up."""
    places = {name: Place(**fields) for name, fields in question["places"].items()}
    wanted: dict[Attempt, bool] = {(source, to, port): is_open for source, to, port, is_open in question["attempts"]}
    make_router()
    networks = {name: connect(number, place.ip) for number, (name, place) in enumerate(places.items())}
    ports = {port for _, _, port in wanted}
    listeners = [listen(network, ports) for network in networks.values()]

    def passed() -> list[Attempt]:
        return [each for each in wanted if passes(networks[each[0]], places[each[1]].ip, each[2])]

    before, right = passed(), [each for each, is_open in wanted.items() if is_open]
    with isolated_control_plane(Reporter(), controllers=False) as cluster:
        tell(Kubectl(cluster, ""), places, question["policies"], question["namespaces"])
        with firewall(str(cluster.kubeconfig)):
            end = time.monotonic() + PATIENCE
            while (now := passed()) != right and time.monotonic() < end:
                time.sleep(0.5)
    del listeners
    return {"before": before, "now": now}


if __name__ == "__main__":
    sys.stdout, answers = sys.stderr, sys.stdout  # what is reported on the way is no answer
    json.dump(answer(json.load(sys.stdin)), answers)
