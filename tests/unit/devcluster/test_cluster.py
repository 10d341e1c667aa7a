"""Which backend runs the cluster, and what an existing cluster is asked."""

import json
from pathlib import Path

import pytest

from devcluster import bare, buildah, cluster, docker, kind, programs
from devcluster.backend import Cluster
from devcluster.errors import DevclusterError
from devcluster.existing import Existing
from devcluster.images import Target
from devcluster.progress import Reporter


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where nothing was started yet and kind can be used; the folder that a bare node would make."""
    monkeypatch.delenv(cluster.CHOICE, raising=False)
    monkeypatch.setenv("DEVCLUSTER_STATE", str(tmp_path / "node"))
    monkeypatch.setattr(kind, "trouble", lambda: "")
    return tmp_path / "node"


def test_kind_is_used_where_it_can_be(machine: Path) -> None:
    assert cluster.choose() == (kind, "kind in docker (DEVCLUSTER=node takes the bare node)")


def test_the_bare_node_is_used_where_kind_can_not_be(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "trouble", lambda: "kind is not on the PATH")
    assert cluster.choose() == (bare, "a bare node on this machine; not kind: kind is not on the PATH")


def test_a_bare_node_that_is_there_is_kept(machine: Path) -> None:
    machine.mkdir()
    line = "a bare node on this machine, which is there already (DEVCLUSTER=kind takes kind)"
    assert cluster.choose() == (bare, line)


@pytest.mark.parametrize(
    ("wanted", "backend", "line"),
    [
        ("node", bare, "a bare node on this machine, as DEVCLUSTER=node says"),
        ("kind", kind, "kind in docker, as DEVCLUSTER=kind says"),
    ],
)
def test_the_user_chooses(machine: Path, monkeypatch: pytest.MonkeyPatch, wanted, backend, line) -> None:
    machine.mkdir()
    monkeypatch.setenv(cluster.CHOICE, wanted)
    assert cluster.choose() == (backend, line)


def test_a_wrong_choice_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster.CHOICE, "minikube")
    with pytest.raises(DevclusterError, match="DEVCLUSTER=minikube is neither node nor kind"):
        cluster.choose()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Existing:
    """A context of the user's, with a kubectl on the PATH that answers as if it had two nodes."""
    ready = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]
    unknown = [{"type": "Ready", "status": "Unknown"}]
    listed = {"items": [node("a", ready), node("b", unknown)]}
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho \"$*\" >>{tmp_path}/said\ncat <<'END'\n{json.dumps(listed)}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setattr(programs, "kubectl", lambda report: program)
    monkeypatch.delenv("REGISTRY", raising=False)
    return Existing("mine")


def node(name: str, conditions: list[dict[str, str]]) -> dict[str, object]:
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def test_an_existing_cluster_is_only_looked_at(mine: Existing, tmp_path: Path) -> None:
    assert cluster.choose("mine") == (mine, "context mine of your kubeconfig: nothing of it is started or removed")
    assert mine.up(Reporter()) == Cluster(None, "mine", tmp_path / "kubectl")
    assert mine.status() == {"a": "ready", "b": ""}
    with pytest.raises(DevclusterError, match="mine is a cluster of yours and is left as it is; delete its namespaces"):
        mine.down()
    assert (tmp_path / "said").read_text().splitlines() == [
        "--context=mine get namespaces --output=name --request-timeout=20s",
        "--context=mine get nodes --output=json --request-timeout=20s",
    ]


@pytest.mark.parametrize("engine", [docker, buildah])
def test_its_images_go_to_the_registry_that_the_user_names(mine: Existing, monkeypatch, tmp_path, engine) -> None:
    monkeypatch.setattr(docker, "answers", lambda: engine is docker)
    (tmp_path / "buildah").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevclusterError, match="set REGISTRY to a HOST/PATH that mine pulls from"):
        mine.target()
    monkeypatch.setenv("REGISTRY", "registry.example/team/")
    assert mine.target() == Target("registry.example/team", engine)


def test_somebody_must_build_them(mine: Existing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(docker, "answers", lambda: False)
    monkeypatch.setenv("REGISTRY", "registry.example/team")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevclusterError, match="docker or buildah is needed to build images for REGISTRY="):
        mine.target()
