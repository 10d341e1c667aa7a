"""What the node needs of the machine itself: Debian packages, a bridge, forwarding; and taking all of it back.

It starts no program of the cluster.
"""

import contextlib
import errno
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from devcluster import buildah, paths
from devcluster.commands import run
from devcluster.errors import DevclusterError
from devcluster.paths import State
from devcluster.progress import Reporter

PACKAGES = {
    "runc": "runc", "nft": "nftables", "iptables": "iptables", "conntrack": "conntrack", "ethtool": "ethtool",
    "ipset": "ipset", "socat": "socat", "ip": "iproute2", "buildah": "buildah", "debootstrap": "debootstrap",
    "mount": "mount",
}  # fmt: skip
CNI_PLUGINS = Path("/usr/lib/cni")
BRIDGE, POD_BRIDGE = "cats-dogs0", "cats-dogs-pods"
NODE_ADDRESS = "10.199.0.1"
NODE_NETWORK = "10.199.0.0/24"
BALANCER_ADDRESSES = ("10.199.0.100", "100")  # the first one for Services, and how many
SYSCTLS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
CGROUP = "cats-dogs"
SHIMS = Path("/run/containerd")  # where containerd's shims and runc keep sockets and states whatever the settings say


def require_root() -> None:
    """Raise `DevclusterError` unless this process is root: a node makes namespaces, mounts and routes."""
    if os.geteuid() != 0:
        raise DevclusterError("a cluster with a node needs root: run it with sudo (or use `up --control-plane`)")


def install_packages(report: Reporter) -> None:
    """Install the Debian packages that a node needs and the machine lacks."""
    missing = [package for command, package in PACKAGES.items() if shutil.which(command) is None]
    if not (CNI_PLUGINS / "bridge").exists():
        missing.append("containernetworking-plugins")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise DevclusterError(f"this machine has no apt-get: install {', '.join(missing)} by hand")
    with report.step("Debian packages") as step:
        step.update(None, " ".join(missing))
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *missing]):
            done = subprocess.run(["apt-get", *command], env=env, text=True, capture_output=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines()[-1:]
                raise DevclusterError(f"apt-get {command[0]} failed: {' '.join(last)}")


def prepare(state: State) -> None:
    """Make the node's bridge and turn forwarding on, remembering what was there before."""
    state.root.mkdir(parents=True, exist_ok=True)
    if not Path("/proc/sys/net/bridge").exists() and shutil.which("modprobe"):
        run("modprobe", "br_netfilter", check=False)  # without it what goes from pod to pod meets no rule
    for name, value in SYSCTLS.items():
        file, kept = Path("/proc/sys") / name, state.root / f"sysctl.{name.replace('/', '.')}"
        if file.exists():
            if not kept.exists():
                kept.write_text(file.read_text())
            file.write_text(value)
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _refuse_taken_network()
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "replace", f"{NODE_ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for root in cgroup_roots():
        (root / CGROUP).mkdir(exist_ok=True)


def _refuse_taken_network() -> None:
    if taken := run("ip", "route", "show", "to", "root", NODE_NETWORK).strip():
        raise DevclusterError(f"the network {NODE_NETWORK} is in use here ({taken}): the cluster needs it for its node")


def cgroup_roots() -> list[Path]:
    """The roots of the machine's cgroup hierarchies: one with cgroup v2, one for each controller with v1."""
    base = Path("/sys/fs/cgroup")
    if (base / "cgroup.controllers").exists():
        return [base]
    return [folder for folder in base.iterdir() if folder.is_dir() and not folder.is_symlink()]


def clean(state: State) -> None:
    """Take back all that a cluster did to the machine, whatever is left of it, and remove its state."""
    _end_pods()
    _end_shims(Path("/run") / state.root.name)
    _unmount(state.root, Path("/run") / state.root.name, paths.cache() / "buildah", buildah.RUN)
    shutil.rmtree(buildah.RUN, ignore_errors=True)
    for network in run("ip", "netns", "list", check=False).split("\n"):
        if network.startswith("cni-") and _ours(network.split()[0]):
            run("ip", "netns", "delete", network.split()[0], check=False)
    for link in (POD_BRIDGE, BRIDGE):
        if Path(f"/sys/class/net/{link}").exists():
            run("ip", "link", "delete", link, check=False)
    for family in ("ip", "ip6"):
        run("nft", "delete", "table", family, "kube-proxy", check=False)
    _remove_cni_rules()
    for kept in state.root.glob("sysctl.*"):
        (Path("/proc/sys") / kept.name.removeprefix("sysctl.").replace(".", "/")).write_text(kept.read_text())
    for folder in (state.root, Path("/run") / state.root.name):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise DevclusterError(f"{folder} can't be removed: something still uses it (`fuser -vm {folder}`)")
    _remove_shims(Path("/run") / state.root.name)


def _remove_shims(run: Path) -> None:
    """Remove what dead shims left in the folder that every containerd of a machine shares, and it too once empty."""
    for place in dead_sockets():
        place.unlink(missing_ok=True)
    for kept in SHIMS.glob("runc/k8s.io/*/state.json"):
        if f"{run}/" in kept.read_text():
            shutil.rmtree(kept.parent, ignore_errors=True)
    for folder in ("s", "runc/k8s.io", "runc", ""):
        with contextlib.suppress(OSError):  # not there, or used by another containerd
            (SHIMS / folder).rmdir()


def dead_sockets() -> list[Path]:
    """The sockets of shims that nobody listens on any more."""
    found = []
    for place in SHIMS.glob("s/*"):
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(place)) == errno.ECONNREFUSED:
                found.append(place)
    return found


def _end_pods() -> None:
    for _ in range(50):
        pids = {pid for root in cgroup_roots() for pid in _pids(root / CGROUP)}
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["sleep", "0.1"], check=False)
    for root in cgroup_roots():
        for folder in sorted((root / CGROUP).rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            (root / CGROUP).rmdir()


def _end_shims(run: Path) -> None:
    """End containerd's shims, which outlive it: those that were given this cluster's socket."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and str(run / "containerd.sock").encode() in words:
                os.kill(int(process.name), signal.SIGKILL)


def _pids(cgroup: Path) -> Iterable[int]:
    for file in cgroup.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            yield from map(int, file.read_text().split())


def _unmount(*below: Path) -> None:
    mounts = [line.split(" ")[1].replace("\\040", " ") for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if any(place == str(root) or place.startswith(f"{root}/") for root in below):
            run("umount", "--lazy", place, check=False)


def _ours(network: str) -> bool:
    """Whether a network namespace of a pod has an address of this cluster's pods, or none at all any more."""
    addresses = run("ip", "-n", network, "-4", "-o", "address", "show", "scope", "global", check=False)
    return not addresses.strip() or " 10.200." in addresses


def _remove_cni_rules() -> None:
    """Remove the NAT rules that the bridge plugin made for this cluster's pods, and no others."""
    rules = run("iptables-save", "-t", "nat", check=False).splitlines()
    chains = {
        line.split()[line.split().index("-j") + 1]
        for line in rules
        if line.startswith("-A POSTROUTING") and "10.200." in line and "-j CNI-" in line
    }
    for line in rules:
        if line.startswith("-A POSTROUTING") and any(f"-j {chain}" in line for chain in chains):
            run("iptables", "-t", "nat", *shlex.split(line.replace("-A", "-D", 1)), check=False)
    for chain in chains:
        run("iptables", "-t", "nat", "-F", chain, check=False)
        run("iptables", "-t", "nat", "-X", chain, check=False)
