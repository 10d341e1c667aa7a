"""The programs of the cluster: from the cache, else the official release, else built from the pinned Go modules.

It puts each program at one place in the cache, whole or not at all, and starts none.
"""

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from urllib.parse import urlsplit

from devcluster import paths
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter, Step

KUBERNETES = "v1.36.3"
MINORS = {"1.35": "v1.35.4", "1.36": KUBERNETES, "1.37": "v1.37.2"}  # what the operator is tested with
_VERSION = "k8s.io/component-base/version"
_RELEASE_TIMEOUT = 4  # seconds; a machine without that network must not wait for it


@dataclass(frozen=True)
class Program:
    """One program: the Go package that it is built from, and where its release is published, if it is.

    `module` is a folder of `devcluster/modules`; `release` the address of the binary, or of a tar file that
    holds it as `member`; `checksum` the address of its published SHA-256: a line that begins with it, or one for each
    file of the release, that ends with the file's name. `tags` leave parts out of a build.
    """

    module: str
    package: str
    version: str
    release: str = ""
    checksum: str = ""
    member: str = ""
    tags: str = ""

    @property
    def ldflags(self) -> str:
        if not self.module.startswith("kubernetes"):
            return "-s -w"
        major, minor, _ = self.version.removeprefix("v").split(".")
        return (
            f"-s -w -X {_VERSION}.gitVersion={self.version} -X {_VERSION}.gitMajor={major}"
            f" -X {_VERSION}.gitMinor={minor} -X {_VERSION}.gitTreeState=clean"
        )


def _kubernetes(command: str, minor: str = "") -> Program:
    version, module = (MINORS[minor], f"kubernetes-{minor}") if minor else (KUBERNETES, "kubernetes")
    release = f"https://dl.k8s.io/release/{version}/bin/linux/amd64/{command}"
    return Program(module, f"k8s.io/kubernetes/cmd/{command}", version, release, f"{release}.sha256")


def _containerd(command: str) -> Program:
    version = "v2.4.2"
    name = f"containerd-{version.removeprefix('v')}-linux-amd64.tar.gz"
    release = f"https://github.com/containerd/containerd/releases/download/{version}/{name}"
    package = f"github.com/containerd/containerd/v2/cmd/{command}"
    return Program("containerd", package, version, release, f"{release}.sha256sum", f"bin/{command}")


def _prometheus(command: str) -> Program:
    """Built here it lacks the discovery of other clouds' targets, which is most of it, and the pages of its UI."""
    version = "v3.16.0"
    folder = f"prometheus-{version.removeprefix('v')}.linux-amd64"
    releases = f"https://github.com/prometheus/prometheus/releases/download/{version}"
    return Program(
        "prometheus",
        f"github.com/prometheus/prometheus/cmd/{command}",
        version,
        f"{releases}/{folder}.tar.gz",
        f"{releases}/sha256sums.txt",
        f"{folder}/{command}",
        tags="remove_all_sd,enable_kubernetes_sd",
    )


PROGRAMS = {
    "etcd": Program("etcd", "go.etcd.io/etcd/server/v3", "v3.6.16"),
    **{
        command: _kubernetes(command)
        for command in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubectl",
            "kubelet",
            "kube-proxy",
        )
    },
    **{command: _containerd(command) for command in ("containerd", "containerd-shim-runc-v2", "ctr")},
    "pause": Program("pause", "devcluster/pause", "v1"),
    "registry": Program("registry", "devcluster/registry", "v3.1.2"),
    "fake-gcs-server": Program("object-store", "github.com/fsouza/fake-gcs-server", "v1.56.1"),
    "coredns": Program("coredns", "github.com/coredns/coredns", "v1.15.0"),
    **{command: _prometheus(command) for command in ("prometheus", "promtool")},
    "metrics-server": Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", "v0.9.0"),
    "kube-router": Program("network-policies", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", "v2.1.0"),
    "helm": Program("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    # For the tests of .github/workflows alone.
    "actionlint": Program("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12"),
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
# Only for the tests with other minors: the cluster never needs them.
OTHER_MINORS = {
    f"{command}@{minor}": _kubernetes(command, minor)
    for minor, version in MINORS.items()
    if version != KUBERNETES
    for command in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
}
NODE = ("pause", "containerd", "containerd-shim-runc-v2", "ctr", "kubelet", "kube-proxy", "registry")
ADDONS = ("coredns", "metrics-server")


def path(name: str) -> Path:
    """The place of a program in the cache, whether it is there or not."""
    command = name.partition("@")[0]
    return paths.cache() / "programs" / f"{command}-{_program(name).version}" / command


def _program(name: str) -> Program:
    return PROGRAMS[name] if name in PROGRAMS else OTHER_MINORS[name]


def ensure(names: Iterable[str], report: Reporter) -> dict[str, Path]:
    """Make the programs be there, and return their places.

    Raises `DevclusterError` when one can neither be fetched nor built.
    """
    for name in names:
        if not path(name).exists():
            _obtain(name, report)
    return {name: path(name) for name in names}


def control_plane(minor: str, report: Reporter) -> dict[str, Path]:
    """The programs of a control plane whose Kubernetes is of that minor, such as "1.35"; etcd and kubectl are
    the same for all. Raises `DevclusterError` for a minor that is not in `MINORS`."""
    if minor not in MINORS:
        raise DevclusterError(f"Kubernetes {minor} is not supported: choose of {', '.join(MINORS)}")
    places = {name: f"{name}@{minor}" if f"{name}@{minor}" in OTHER_MINORS else name for name in CONTROL_PLANE}
    made = ensure(places.values(), report)
    return {name: made[place] for name, place in places.items()}


def kubectl(report: Reporter) -> Path:
    """kubectl for a cluster that did not bring its own: the one on the PATH, else this package's."""
    found = shutil.which("kubectl")
    return Path(found) if found else ensure(["kubectl"], report)["kubectl"]


def _obtain(name: str, report: Reporter) -> None:
    target = path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / "lock"):
        if target.exists():  # another start made it while this one waited
            return
        partial = target.with_suffix(".partial")
        with report.step(f"{target.name} {_program(name).version}") as step:
            if not _fetch(_program(name), partial, step):
                _build(name, partial, step)
            partial.chmod(0o755)
            partial.replace(target)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@once
def _reachable(host: str) -> bool:
    try:
        urllib.request.urlopen(f"https://{host}/", timeout=_RELEASE_TIMEOUT).close()
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code != 403
    except OSError:
        return False
    return True


def _fetch(program: Program, partial: Path, step: Step) -> bool:
    if not program.release or not _reachable(urlsplit(program.release).hostname or ""):
        return False
    step.update(None, "downloading the release")
    try:
        published = _published(_get(program.checksum).decode(), program.release.rpartition("/")[2])
        body = _get(program.release, step)
    except OSError:
        return False
    if hashlib.sha256(body).hexdigest() != published:
        raise DevclusterError(f"{program.release} does not have its published SHA-256 {published}: not used")
    if program.member:
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            member = archive.extractfile(program.member)
            if member is None:
                raise DevclusterError(f"{program.release} holds no {program.member}")
            body = member.read()
    partial.write_bytes(body)
    return True


def _published(text: str, file: str) -> str:
    """The SHA-256 of a file: that of the line which ends with its name, else what the text begins with."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return next((words[0] for words in lines if words[-1].lstrip("*") == file), lines[0][0])


def _get(address: str, step: Step | None = None) -> bytes:
    with urllib.request.urlopen(address, timeout=_RELEASE_TIMEOUT) as answer:
        size, parts, got = int(answer.headers.get("Content-Length") or 0), [], 0
        while part := answer.read(1 << 20):
            parts.append(part)
            got += len(part)
            if step and size:
                step.update(got / size, f"downloading the release, {got >> 20} of {size >> 20} MiB")
        return b"".join(parts)


def _build(name: str, partial: Path, step: Step) -> None:
    program = _program(name)
    go = shutil.which("go")
    if go is None:
        raise DevclusterError(
            f"{name}: its release can't be fetched here and Go is not installed: install Go 1.26 or newer"
        )
    folder = paths.MODULES / program.module
    env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    total = _package_count(go, program, folder, env)
    command = [
        go,
        "build",
        "-v",
        "-mod=readonly",
        "-trimpath",
        f"-tags={program.tags}",
        "-ldflags",
        program.ldflags,
        "-o",
        str(partial),
    ]
    with subprocess.Popen([*command, program.package], cwd=folder, env=env, text=True, stderr=subprocess.PIPE) as build:
        assert build.stderr is not None
        lines: list[str] = []
        for line in build.stderr:
            lines.append(line.strip())
            step.update(min(len(lines) / total, 1.0), f"compiling {lines[-1][-48:]}")
    if build.returncode:
        raise DevclusterError(f"go build {program.package} in {folder} failed: {' | '.join(lines[-3:])}")


def _package_count(go: str, program: Program, folder: Path, env: dict[str, str]) -> int:
    """How many packages a build from nothing compiles; downloads the modules on the way."""
    listed = subprocess.run(
        [go, "list", "-mod=readonly", f"-tags={program.tags}", "-deps", program.package],
        cwd=folder, env=env, text=True, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        raise DevclusterError(f"go list {program.package} in {folder} failed: {listed.stderr.strip()[-300:]}")
    return max(len(listed.stdout.split()), 1)
