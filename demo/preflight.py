"""Looks at the machine before anything is started, and says in one line each what is missing.

`missing` is pure; only `gather` looks. It must not change anything, nor install anything.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import cluster, node, paths, programs
from devcluster.control_plane import listens

GIB = 1 << 30
PYTHON = (3, 11)
GO = (1, 26)
MEMORY_BYTES = 6 * GIB
# Measured with PyPI's CUDA build of torch: Go's build cache, image layers in the builder, registry and node.
FRESH_DISK_BYTES = 40 * GIB
WARM_DISK_BYTES = 5 * GIB


@dataclass(frozen=True)
class Facts:
    """What was found. `go` is None where there is none; `free_bytes` maps a folder to its file system's space."""

    python: tuple[int, int]
    root: bool
    go: tuple[int, int] | None
    kind: bool
    memory_bytes: int
    free_bytes: Mapping[str, int]
    taken_ports: tuple[int, ...]
    programs_built: bool
    images_built: bool


def missing(facts: Facts) -> list[str]:
    """One line for each thing that a local cluster needs and the machine lacks, with what to do about it."""
    lines = []
    if facts.python < PYTHON:
        lines.append(f"Python {_version(PYTHON)} or newer is needed, this is {_version(facts.python)}")
    if not facts.root:
        lines.append("root is needed: a node makes namespaces, mounts and routes; run `sudo make demo`")
    if not facts.programs_built and not facts.kind and (facts.go is None or facts.go < GO):
        found = "none is on the PATH" if facts.go is None else f"this is {_version(facts.go)}"
        lines.append(
            f"Go {_version(GO)} or newer is needed to build the cluster's programs, {found}; "
            "install it from go.dev/dl, or a container engine and kind"
        )
    if facts.memory_bytes < MEMORY_BYTES:
        lines.append(f"{MEMORY_BYTES // GIB} GiB of memory are needed, this machine has {facts.memory_bytes / GIB:.1f}")
    need = WARM_DISK_BYTES if facts.images_built else FRESH_DISK_BYTES
    lines += [
        f"{need // GIB} GiB of free disk are needed at {folder}, there are {free / GIB:.0f}; "
        "free some, or set XDG_CACHE_HOME to a larger disk"
        for folder, free in facts.free_bytes.items()
        if free < need
    ]
    if facts.taken_ports:
        several = "ports" if len(facts.taken_ports) > 1 else "port"
        lines.append(
            f"{several} {', '.join(map(str, facts.taken_ports))} in use; "
            f"`ss -ltnp 'sport = :{facts.taken_ports[0]}'` shows by what: stop it"
        )
    return lines


def gather() -> Facts:
    """Look at this machine; ports that our own running cluster holds count as free."""
    ours = any(cluster.status().values())
    return Facts(
        python=sys.version_info[:2],
        root=os.geteuid() == 0,
        go=go_version(_output("go", "version")),
        kind=bool(shutil.which("kind") and (shutil.which("docker") or shutil.which("podman"))),
        memory_bytes=_memory(),
        free_bytes=_free([paths.cache(), paths.node_state().root]),
        taken_ports=() if ours else tuple(port for port in _ports() if listens("127.0.0.1", port)),
        programs_built=all(programs.path(name).exists() for name in programs.PROGRAMS),
        images_built=(paths.cache() / "registry" / "docker").is_dir(),
    )


def go_version(text: str) -> tuple[int, int] | None:
    """(1, 26) of "go version go1.26.8 linux/amd64", None of anything else."""
    match = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _ports() -> list[int]:
    plan = node.LAYOUT
    return [
        plan.api_port,
        plan.etcd_port,
        plan.etcd_peer_port,
        plan.manager_port,
        plan.scheduler_port,
        node.REGISTRY_PORT,
        node.KUBELET_PORT,
        node.KUBELET_HEALTH_PORT,
        node.PROXY_HEALTH_PORT,
        node.PROXY_METRICS_PORT,
    ]


def _memory() -> int:
    """Bytes of memory that this machine or its control group has, whichever is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(limit).exists() and (text := Path(limit).read_text().strip()).isdecimal():
            return min(machine, int(text))
    return machine


def _free(folders: Iterable[Path]) -> dict[str, int]:
    """Free bytes below each folder, once for each file system."""
    found: dict[int, tuple[str, int]] = {}
    for folder in folders:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        found.setdefault(there.stat().st_dev, (str(folder), shutil.disk_usage(there).free))
    return dict(found.values())
