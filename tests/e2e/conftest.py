"""The real cluster for the end-to-end tests: one node on this machine, with the system as the demo installs it.

A cluster that runs already (a developer's) is used and left; one started here is killed, cleaned up and looked for.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import deploy
from demo.drawings import draw
from demo.kubectl import own
from devcluster import cluster, host, images, paths, processes
from devcluster.progress import Reporter
from tests.e2e.kube import RUN, Kube, training_run
from tests.e2e.store import Store

DRAWINGS = 400


@pytest.fixture(scope="session")
def running() -> Iterator[cluster.Cluster]:
    """A cluster with a node; fails, never skips, where it can't start."""
    if os.geteuid() != 0:
        pytest.fail("the end-to-end tests need root for a node: run `sudo make test`, or only tests/unit as yourself")
    found_running = any(cluster.status().values())
    yield cluster.up(Reporter())
    if not found_running:
        crash()
        cluster.down()
        assert leftovers() == []


def crash() -> None:
    """End half of the cluster's programs as a crash would, so that `down` is tried on what is hardest to clean."""
    state = paths.node_state()
    for name in ("etcd", "kubelet", "containerd"):
        if pid := processes.running(state, name):
            os.kill(pid, signal.SIGKILL)


def leftovers() -> list[str]:
    """What a cluster would leave on this machine: mounts, links, namespaces, rules, processes, folders."""
    state = paths.node_state()
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if state.root.name in line]
    found += [link for link in (host.BRIDGE, host.POD_BRIDGE) if Path(f"/sys/class/net/{link}").exists()]
    found += [line for line in host.run("ip", "netns", "list").splitlines() if line.startswith("cni-")]
    found += [line for line in host.run("nft", "list", "tables").splitlines() if "kube-proxy" in line]
    found += [str(folder) for folder in (state.root, Path("/run") / state.root.name) if folder.exists()]
    found += [str(root / host.CGROUP) for root in host.cgroup_roots() if (root / host.CGROUP).exists()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        if str(state.root).encode() in words or f"/run/{state.root.name}".encode() in words:
            found.append(words.decode(errors="replace"))
    return found


@pytest.fixture(scope="session")
def kube(running: cluster.Cluster) -> Iterator[Kube]:
    """kubectl on a cluster that has operator, MLflow and object store; the tests' resources are removed at the end."""
    report = Reporter()
    deploy.install(own(running.kubeconfig), images.build(deploy.IMAGES, report), report)
    kubectl = Kube(running.kubeconfig)
    yield kubectl
    for kind in ("msrv", "trun"):
        names = [f"{kind}/{item['metadata']['name']}" for item in kubectl.get(kind)["items"]]
        if mine := [name for name in names if name.split("/")[1].startswith("e2e-")]:
            kubectl.run("delete", *mine)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small labelled set of drawings."""
    folder = tmp_path_factory.mktemp("drawings")
    draw(folder, DRAWINGS)
    return folder


@pytest.fixture(scope="session")
def store(kube: Kube, running: cluster.Cluster, drawings: Path) -> Store:
    """A bucket of its own with the drawings as raw photographs."""
    bucket = Store(deploy.address(own(running.kubeconfig), "object-store", 4443), f"e2e-{uuid.uuid4().hex[:8]}")
    bucket.make_bucket(bucket.bucket)
    bucket.upload_raw(drawings)
    return bucket


@pytest.fixture(scope="session")
def trained(kube: Kube, store: Store) -> dict:
    """The status of the one run that is trained here: what has its key afterwards is Reused."""
    kube.apply(training_run(RUN, store.bucket))
    kube.wait(f"trun/{RUN}", "condition=Finished", 600)
    return kube.get(f"trun/{RUN}")["status"]


@pytest.fixture(scope="session")
def mlflow(kube: Kube, running: cluster.Cluster) -> str:
    """MLflow's address."""
    return deploy.address(own(running.kubeconfig), "mlflow-service", 5000)
