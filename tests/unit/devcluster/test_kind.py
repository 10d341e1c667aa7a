"""The backend in docker: the exact commands it gives to docker, kind and kubectl, recorded by stand-ins for them.

tests/e2e runs on the real ones where a machine has them (DEVCLUSTER=kind).
"""

import ipaddress
import os
from pathlib import Path

import pytest
import yaml

from devcluster import addons, docker, kind, paths
from devcluster.backend import Cluster
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

NODE = "cats-dogs-control-plane"
PS_NODES = "docker ps --all --filter=label=io.x-k8s.kind.cluster=cats-dogs --format={{.Names}} {{.State}}"
PS_REGISTRY = "docker ps --all --filter=name=^cats-dogs-registry$ --format={{.Names}} {{.State}}"
ASKED = ["docker version --format={{.Server.Version}}", "kind version"]
ANSWERS = {
    "docker": """case "$*" in
        version*) echo 29.1.0 ;;
        *label=io*) cat "$HERE/nodes" ;;
        *name=^cats*) cat "$HERE/registry" ;;
        "network inspect kind") echo '[{"IPAM": {"Config": [{"Subnet": "fc00::/64"}, {"Subnet": "172.18.0.0/16"}]}}]' ;;
        *"cp /dev/stdin"*) cat >"$HERE/stdin" ;;
    esac""",
    "kind": """case "$*" in
        version) echo kind v0.33.0 go1.26.8 linux/amd64 ;;
        create*) echo cats-dogs-control-plane running >"$HERE/nodes" ;;
    esac""",
    "kubectl": "cat >/dev/null",
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with docker, kind and kubectl, which write what they are told to `said`."""
    for name, script in ANSWERS.items():
        stand_in(tmp_path, name, script)
    (tmp_path / "nodes").touch()
    (tmp_path / "registry").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(kind, "check_port", lambda name, place: None)
    started = tmp_path / "started"
    monkeypatch.setattr(addons, "start_balancer", lambda *words: started.write_text(" ".join(map(str, words[1:]))))
    return tmp_path


def stand_in(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f'#!/bin/sh\nHERE={folder}\necho "{name} $*" >>"$HERE/said"\n{script}\n')
    file.chmod(0o755)


def said(machine: Path) -> list[str]:
    return (machine / "said").read_text().splitlines()


def test_a_new_cluster(machine: Path) -> None:
    state = paths.kind_state()
    kubectl = f"kubectl --kubeconfig={state.kubeconfig} --context=kind-cats-dogs"

    assert kind.up(Reporter()) == Cluster(state.kubeconfig, "kind-cats-dogs", machine / "kubectl")
    assert said(machine) == [
        *ASKED,
        PS_NODES,
        f"kind create cluster --config={state.root}/kind.yaml --kubeconfig={state.kubeconfig}",
        PS_REGISTRY,
        "docker run --detach --restart=always --name=cats-dogs-registry --network=kind --publish=127.0.0.1:5001:5000 "
        "--volume=cats-dogs-registry:/var/lib/registry --env=OTEL_TRACES_EXPORTER=none registry:3",
        PS_NODES,
        f"docker exec {NODE} mkdir -p /etc/containerd/certs.d/localhost:5001",
        f"docker exec -i {NODE} cp /dev/stdin /etc/containerd/certs.d/localhost:5001/hosts.toml",
        f"{kubectl} wait node --all --for=condition=Ready --timeout=10s",
        f"{kubectl} apply --server-side --force-conflicts -f-",
        "docker network inspect kind",
        PS_NODES,
        f"docker exec {NODE} ip route replace local 172.18.255.192/26 dev lo",
        f"{kubectl} rollout status deployment/metrics-server --namespace=kube-system --timeout=180s",
    ]
    assert (machine / "stdin").read_text() == '[host."http://cats-dogs-registry:5000"]\n'
    assert (machine / "started").read_text() == f"{state.kubeconfig} 172.18.255.192 63"


def test_what_kind_is_told(machine: Path) -> None:
    kind.up(Reporter())

    folder = paths.kind_state().root
    told = yaml.safe_load((folder / "kind.yaml").read_text())
    patches = [yaml.safe_load(patch) for patch in told.pop("kubeadmConfigPatches")]
    mount = {"hostPath": f"{folder}/patches", "containerPath": "/kind/patches", "readOnly": True}
    assert told == {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "name": "cats-dogs",
        "nodes": [{"role": "control-plane", "image": kind.NODE_IMAGE, "extraMounts": [mount]}],
    }
    quick = {
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "15s",
        "horizontal-pod-autoscaler-downscale-stabilization": "30s",
    }
    assert patches == [
        {"kind": "ClusterConfiguration", "controllerManager": {"extraArgs": quick}},
        {"kind": "InitConfiguration", "patches": {"directory": "/kind/patches"}},
    ]
    assert {file.name for file in (folder / "patches").iterdir()} == {
        "etcd+strategic.yaml",
        "kube-apiserver+strategic.yaml",
        "kube-controller-manager+strategic.yaml",
        "kube-scheduler+strategic.yaml",
        "corednsdeployment+strategic.yaml",
    }
    assert yaml.safe_load((folder / "patches" / "etcd+strategic.yaml").read_text()) == {
        "spec": {"containers": [{"name": "etcd", "resources": {"requests": {"cpu": "10m"}}}]}
    }


def test_a_stopped_cluster_is_started_again(machine: Path) -> None:
    (machine / "nodes").write_text(f"{NODE} exited\n")
    (machine / "registry").write_text("cats-dogs-registry exited\n")

    kind.up(Reporter())

    assert said(machine)[2:8] == [
        PS_NODES,
        PS_NODES,
        f"docker start {NODE}",
        f"kind export kubeconfig --name=cats-dogs --kubeconfig={paths.kind_state().kubeconfig}",
        PS_REGISTRY,
        "docker start cats-dogs-registry",
    ]


def test_an_api_server_that_is_not_ready_yet_is_asked_again(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "POLL_SECONDS", 0)
    stand_in(machine, "kubectl", '[ "$3" != wait ] || [ $(grep -c " wait " "$HERE/said") = 3 ]')

    kind.up(Reporter())

    assert len([line for line in said(machine) if " wait node " in line]) == 3


def test_a_node_that_never_becomes_ready(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "READY_SECONDS", -1)
    stand_in(machine, "kubectl", "echo timed out >&2; exit 1")

    with pytest.raises(DevclusterError, match=r"wait node --all .* failed: timed out"):
        kind.up(Reporter())


def test_a_failure_of_kind_is_one_line(machine: Path) -> None:
    stand_in(
        machine, "kind", 'case $1 in version) echo v0.33.0 ;; *) echo "ERROR: no space"; echo more; exit 1 ;; esac'
    )

    with pytest.raises(DevclusterError) as failed:
        kind.up(Reporter())

    log = paths.kind_state().logs / "kind.log"
    assert str(failed.value) == f"kind can't create the cluster: ERROR: no space (all of it: {log})"
    assert log.read_text() == "ERROR: no space\nmore\n"


def test_status_and_down(machine: Path) -> None:
    (machine / "nodes").write_text(f"{NODE} running\n")
    (machine / "registry").write_text("cats-dogs-registry exited\n")
    state = paths.kind_state()
    state.run.mkdir(parents=True)
    (state.run / "loadbalancer.pid").write_text("1 0")  # a pid of long ago

    assert kind.status() == {NODE: "runs", "cats-dogs-registry": "", "loadbalancer": ""}
    assert kind.down() == [NODE, "cats-dogs-registry", "loadbalancer"]
    assert said(machine)[-2:] == [
        f"kind delete cluster --name=cats-dogs --kubeconfig={state.kubeconfig}",
        "docker rm --force cats-dogs-registry",
    ]
    assert not state.root.exists()


@pytest.mark.parametrize(
    ("name", "script", "why"),
    [
        ("docker", "echo no daemon >&2; exit 1", "no docker daemon answers within 2 s"),
        ("kind", "echo kind v0.24.0 go1.22 linux/amd64", "kind v0.33 or newer is needed, this is kind v0.24.0"),
        ("kind", "exit 1", "kind v0.33 or newer is needed, this is of no known version"),
    ],
)
def test_why_kind_can_not_be_used(machine: Path, name: str, script: str, why: str) -> None:
    assert kind.trouble() == ""
    stand_in(machine, name, script)

    assert kind.trouble().startswith(why)
    with pytest.raises(DevclusterError, match=rf"kind can't be used: {why}.*; DEVCLUSTER=node takes a bare node"):
        kind.up(Reporter())


def test_a_machine_without_kind_or_with_a_docker_that_hangs(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(machine, "docker", "exec sleep 60")
    monkeypatch.setattr(docker, "ANSWER_SECONDS", 0.2)
    assert kind.trouble() == "no docker daemon answers within 0.2 s"
    monkeypatch.setenv("PATH", str(machine / "nothing"))
    assert kind.trouble() == "kind is not on the PATH"
    assert not docker.answers()


@pytest.mark.parametrize(
    ("subnet", "last"),
    [
        ("172.18.0.0/16", "172.18.255.192/26"),
        ("192.168.8.0/24", "192.168.8.192/26"),
        ("10.0.0.0/27", "10.0.0.16/28"),
    ],
)
def test_services_get_the_addresses_that_docker_gives_out_last(subnet: str, last: str) -> None:
    assert str(kind.last_addresses(ipaddress.IPv4Network(subnet))) == last
