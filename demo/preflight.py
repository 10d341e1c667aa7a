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

from devcluster import cluster, kind, node, paths, programs
from devcluster.control_plane import listens

GIB = 1 << 30
PYTHON = (3, 11)
GO = (1, 26)
MEMORY_BYTES = 6 * GIB
# Measured on the bare node, with PyPI's CUDA build of torch: Go's build cache, image layers in the builder, registry
# and node. kind wants no Go, but a node image; it was not measured.
FRESH_DISK_BYTES = 40 * GIB
WARM_DISK_BYTES = 5 * GIB


@dataclass(frozen=True)
class Facts:
    """What was found. `free_bytes` maps a folder to its file system's space.

    `kind` says that kind is used, and `kind_trouble` why it can't be, in a few words. `go` is None where there is none.
    """

    python: tuple[int, int]
    kind: bool
    kind_trouble: str
    root: bool
    go: tuple[int, int] | None
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
    lines += _missing_for_kind(facts) if facts.kind else _missing_for_node(facts)
    if facts.memory_bytes < MEMORY_BYTES:
        lines.append(f"{MEMORY_BYTES // GIB} GiB of memory are needed, this machine has {facts.memory_bytes / GIB:.1f}")
    need = WARM_DISK_BYTES if facts.images_built else FRESH_DISK_BYTES
    other = "give docker a larger disk (data-root)" if facts.kind else "set XDG_CACHE_HOME to a larger disk"
    lines += [
        f"{need // GIB} GiB of free disk are needed at {folder}, there are {free / GIB:.0f}; free some, or {other}"
        for folder, free in facts.free_bytes.items()
        if free < need
    ]
    if facts.taken_ports:
        ports = ", ".join(map(str, facts.taken_ports))
        lines.append(
            f"port{'s' * (len(facts.taken_ports) > 1)} {ports} in use; "
            f"`ss -ltnp 'sport = :{facts.taken_ports[0]}'` shows by what: stop it"
        )
    return lines


def _missing_for_kind(facts: Facts) -> list[str]:
    if not facts.kind_trouble:
        return []
    return [f"kind can't be used: {facts.kind_trouble}; mend that, or take the bare node with DEVCLUSTER=node"]


def _missing_for_node(facts: Facts) -> list[str]:
    lines, instead = [], "or take kind with DEVCLUSTER=kind"
    if facts.kind_trouble:
        instead = f"or have docker and kind ({facts.kind_trouble})"
    if not facts.root:
        lines.append(f"root is needed: a node makes namespaces, mounts and routes; run `sudo make demo`, {instead}")
    if not facts.programs_built and (facts.go is None or facts.go < GO):
        found = "none is on the PATH" if facts.go is None else f"this is {_version(facts.go)}"
        lines.append(
            f"Go {_version(GO)} or newer is needed to build the cluster's programs, {found}; "
            f"install it from go.dev/dl, {instead}"
        )
    return lines


def gather() -> Facts:
    """Look at this machine; ports that our own running cluster holds count as free."""
    trouble, by_kind = kind.trouble(), cluster.choose()[0] is kind
    ours = not (by_kind and trouble) and any(cluster.status().values())
    ports = [kind.REGISTRY_PORT] if by_kind else _node_ports()
    return Facts(
        python=sys.version_info[:2],
        kind=by_kind,
        kind_trouble=trouble,
        root=os.geteuid() == 0,
        go=go_version(_output("go", "version")),
        memory_bytes=_memory(),
        free_bytes=_free([_docker_root()] if by_kind else [paths.cache(), paths.node_state().root]),
        taken_ports=() if ours else tuple(port for port in ports if listens("127.0.0.1", port)),
        programs_built=all(programs.path(name).exists() for name in programs.PROGRAMS),
        images_built=_docker_has_images() if by_kind else (paths.cache() / "registry" / "docker").is_dir(),
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


def _docker_root() -> Path:
    """Where docker keeps images and volumes; where it does not say so, the root folder stands for it."""
    return Path(_output("docker", "info", "--format={{.DockerRootDir}}").strip() or "/")


def _docker_has_images() -> bool:
    """Whether the registry's volume is there from a run before."""
    return bool(_output("docker", "volume", "ls", "--quiet", f"--filter=name=^{kind.REGISTRY}$").strip())


def _node_ports() -> list[int]:
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
