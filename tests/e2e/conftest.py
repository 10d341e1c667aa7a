"""The real cluster for the end-to-end tests, with the system as the demo installs it: see devcluster.cluster.choose.

CONTEXT=NAME takes a cluster of the user's kubeconfig. A cluster that runs already (a developer's) is used and left;
one started here is removed, and a bare node is crashed first and looked for afterwards.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import deploy
from demo.drawings import draw
from demo.kubectl import Kubectl, of
from demo.store import BUCKET
from devcluster import bare, cluster, commands, host, paths, processes
from devcluster.progress import Reporter
from tests.e2e.kube import RUN, Kube, training_run
from tests.e2e.store import Store

DRAWINGS = 400
CONTEXT = os.environ.get("CONTEXT") or None


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """A cluster with a node; fails, never skips, where it can't start."""
    on_bare_node = cluster.choose(CONTEXT)[0] is bare
    if on_bare_node and os.geteuid() != 0:
        pytest.fail("the end-to-end tests need root for a node: run `sudo make test`, or only tests/unit as yourself")
    found_running = CONTEXT or any(cluster.status().values())
    yield of(cluster.up(Reporter(), CONTEXT))
    if not found_running:
        if on_bare_node:
            crash()
        cluster.down()
        assert (leftovers() if on_bare_node else cluster.status()) in ([], {})


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
    found += [line for line in commands.run("ip", "netns", "list").splitlines() if line.startswith("cni-")]
    found += [line for line in commands.run("nft", "list", "tables").splitlines() if "kube-proxy" in line]
    found += [str(folder) for folder in (state.root, Path("/run") / state.root.name) if folder.exists()]
    found += [str(root / host.CGROUP) for root in host.cgroup_roots() if (root / host.CGROUP).exists()]
    found += [str(file) for file in host.SHIMS.glob("runc/k8s.io/*/state.json") if state.root.name in file.read_text()]
    found += [str(place) for place in host.dead_sockets()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        if str(state.root).encode() in words or f"/run/{state.root.name}".encode() in words:
            found.append(words.decode(errors="replace"))
    return found


@pytest.fixture(scope="session")
def images(kubectl: Kubectl) -> dict[str, str]:
    """The references by digest that the cluster pulls."""
    return deploy.references(CONTEXT, os.environ, Reporter())


@pytest.fixture(scope="session")
def registry(images: dict[str, str]) -> str:
    """The host of the registry that the trainer's image comes from: the operator allows it."""
    return images["trainer"].split("/")[0]


@pytest.fixture(scope="session")
def kube(kubectl: Kubectl, images: dict[str, str]) -> Iterator[Kube]:
    """kubectl on a cluster that has operator, MLflow and object store; the tests' resources are removed at the end."""
    deploy.install(kubectl, images, Reporter())
    kube = Kube(kubectl)
    yield kube
    for kind in ("msrv", "trun"):
        names = [f"{kind}/{item['metadata']['name']}" for item in kube.get(kind)["items"]]
        if mine := [name for name in names if name.split("/")[1].startswith("e2e-")]:
            kube.run("delete", *mine)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small labelled set of drawings."""
    folder = tmp_path_factory.mktemp("drawings")
    draw(folder, DRAWINGS)
    return folder


@pytest.fixture(scope="session")
def store(kube: Kube, kubectl: Kubectl, drawings: Path) -> Store:
    """A bucket of its own with the drawings as raw photographs, beside the one where MLflow keeps its artifacts."""
    bucket = Store(deploy.address(kubectl, "object-store", 4443), f"e2e-{uuid.uuid4().hex[:8]}")
    for name in (BUCKET, bucket.bucket):
        bucket.make_bucket(name)
    bucket.upload_raw(drawings)
    return bucket


@pytest.fixture(scope="session")
def trained(kube: Kube, store: Store) -> dict:
    """The status of the one run that is trained here: what has its key afterwards is Reused."""
    kube.apply(training_run(RUN, store.bucket))
    kube.wait(f"trun/{RUN}", "condition=Finished", 600)
    return kube.get(f"trun/{RUN}")["status"]


@pytest.fixture(scope="session")
def mlflow(kube: Kube, kubectl: Kubectl) -> str:
    """MLflow's address."""
    return deploy.address(kubectl, "mlflow-service", 5000)
