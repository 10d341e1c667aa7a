"""Where programs come from: cache, release, source. Releases are served by a local HTTP server."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devcluster import programs
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

BODY = b"#!/bin/sh\necho a program\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def release(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "release"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def program(release: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> programs.Program:
    """A program `tool` whose release is served and whose source does not exist."""
    folder, address = release
    (folder / "tool").write_bytes(BODY)
    (folder / "tool.sha256").write_text(f"{hashlib.sha256(BODY).hexdigest()}  tool\n")
    tool = programs.Program("nowhere", "example.com/tool", "v1", f"{address}/tool", f"{address}/tool.sha256")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(programs, "_reachable", lambda host: True)
    monkeypatch.setitem(programs.PROGRAMS, "tool", tool)
    return tool


def test_a_release_with_its_published_checksum_is_used_and_kept(program: programs.Program, release) -> None:
    place = programs.ensure(["tool"], Reporter())["tool"]
    assert place.read_bytes() == BODY
    assert place.stat().st_mode & 0o111
    (release[0] / "tool").unlink()
    assert programs.ensure(["tool"], Reporter()) == {"tool": place}  # from the cache, nothing fetched


def test_a_release_with_another_checksum_is_refused(program: programs.Program, release) -> None:
    (release[0] / "tool").write_bytes(BODY + b"and more")
    with pytest.raises(DevclusterError, match="does not have its published SHA-256"):
        programs.ensure(["tool"], Reporter())
    assert not programs.path("tool").exists()


def test_a_program_is_taken_out_of_its_tar_file(program: programs.Program, release, monkeypatch) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("bin/tool")
        entry.size = len(BODY)
        archive.addfile(entry, io.BytesIO(BODY))
    (release[0] / "tool").write_bytes(buffer.getvalue())
    (release[0] / "tool.sha256").write_text(hashlib.sha256(buffer.getvalue()).hexdigest())
    monkeypatch.setitem(programs.PROGRAMS, "tool", replace(program, member="bin/tool"))
    assert programs.ensure(["tool"], Reporter())["tool"].read_bytes() == BODY


def test_one_file_may_hold_the_checksums_of_a_whole_release(program: programs.Program, release) -> None:
    sums = release[0] / "tool.sha256"
    sums.write_text(f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(BODY).hexdigest()} *tool\n{'1' * 64}  tool.sig\n")
    assert programs.ensure(["tool"], Reporter())["tool"].read_bytes() == BODY


def test_a_build_is_of_the_pinned_version_of_its_module() -> None:
    """Prometheus's module says v0.316.0 where its release is called v3.16.0."""
    program = programs.PROGRAMS["promtool"]
    major, minor, patch = program.version.removeprefix("v").split(".")
    module = (programs.paths.MODULES / program.module / "go.mod").read_text()
    assert f"github.com/prometheus/prometheus v0.{major}{minor}.{patch} // indirect\n" in module


def test_two_starts_at_once_obtain_it_once(program: programs.Program, monkeypatch) -> None:
    fetched = []
    fetch = programs._fetch
    monkeypatch.setattr(programs, "_fetch", lambda *given: (fetched.append(1), fetch(*given))[1])
    threads = [threading.Thread(target=programs.ensure, args=(["tool"], Reporter())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_without_release_and_go_the_line_says_what_to_install(program: programs.Program, release, monkeypatch) -> None:
    (release[0] / "tool").unlink()
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    with pytest.raises(DevclusterError, match=r"install Go 1\.26 or newer"):
        programs.ensure(["tool"], Reporter())


def test_kubernetes_programs_carry_their_version() -> None:
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X" in programs.PROGRAMS["kubelet"].ldflags
    assert "gitMinor=36 " in programs.PROGRAMS["kubelet"].ldflags


@pytest.mark.parametrize(("minor", "version"), [("1.35", "v1.35.4"), ("1.36", "v1.36.3"), ("1.37", "v1.37.2")])
def test_a_control_plane_of_each_supported_minor(monkeypatch: pytest.MonkeyPatch, minor: str, version: str) -> None:
    monkeypatch.setattr(programs, "_obtain", lambda name, report: None)
    places = programs.control_plane(minor, Reporter())
    folders = {name: place.parent.name for name, place in places.items()}
    assert folders == {
        "etcd": "etcd-v3.6.16",
        "kube-apiserver": f"kube-apiserver-{version}",
        "kube-controller-manager": f"kube-controller-manager-{version}",
        "kube-scheduler": f"kube-scheduler-{version}",
        "kubectl": "kubectl-v1.36.3",
    }
    assert [place.name for place in places.values()] == list(places)


@pytest.mark.parametrize("minor", ["1.35", "1.37"])
def test_other_minors_are_built_from_modules_of_their_own(minor: str) -> None:
    program = programs.OTHER_MINORS[f"kube-apiserver@{minor}"]
    module = (programs.paths.MODULES / program.module / "go.mod").read_text()
    assert f"k8s.io/kubernetes {program.version}\n" in module.replace(" // indirect", "")
    assert f"gitMinor={minor.partition('.')[2]} " in program.ldflags


def test_a_minor_that_is_not_supported_is_refused() -> None:
    with pytest.raises(DevclusterError, match=r"Kubernetes 1\.30 is not supported: choose of 1\.35, 1\.36, 1\.37"):
        programs.control_plane("1.30", Reporter())
