"""A real API server with its controllers and no node, and on it the real operator for TrainingRuns."""

from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.progress import Reporter
from tests.integration.world import IMAGE, NAMESPACE, RAW, ROOT, Kubectl, Operator
from tests.unit.operator.bucket_server import Buckets, bucket_server

NOT_OURS = "The Job can't make a pod"  # what the Job controller was refused, not the operator


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.Cluster]:
    """A control plane of its own, gone at the end; fails, never skips, where it can't start."""
    with cluster.isolated_control_plane(Reporter()) as running:
        yield running


@pytest.fixture(scope="module")
def buckets() -> Iterator[Buckets]:
    """A store with the bucket `photos` and an `empty` one."""
    with bucket_server() as found:
        found.objects["photos"] = {f"{RAW}Cat/1.jpg": b"cat", f"{RAW}Dog/1.jpg": b"dog"}
        found.objects["empty"] = {RAW: b""}
        yield found


@pytest.fixture(scope="module")
def kubectl(control_plane: cluster.Cluster) -> Kubectl:
    """The CRDs, and a namespace that admits only restricted pods, with the operator's Role."""
    ask = Kubectl(control_plane, NAMESPACE)
    ask("apply", "--server-side", "-f", str(ROOT / "crds"))
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    for name in ("mlops-system", NAMESPACE):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        ask("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    ask("apply", "-n", "mlops-system", "--server-side", "-f", str(ROOT / "deploy/base/service-account.yaml"))
    ask("apply", "--server-side", "-k", str(ROOT / "deploy/workloads"))
    return ask


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, buckets: Buckets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator, running; it must still run at the end and never have been refused anything."""
    env = {
        "TRAINER_IMAGE": IMAGE,
        "BUCKET": "photos",
        "ALLOWED_REGISTRIES": "localhost:5000",
        "STORAGE_EMULATOR_HOST": buckets.url,
    }
    found = Operator(kubectl, tmp_path_factory.mktemp("operator"), env)
    found.start()
    try:
        yield found
        found.stop()
    finally:
        if found.process is not None:
            found.process.kill()
            found.process.wait()
    log = found.log.read_text()
    assert "Traceback" not in log
    refused = [line for line in log.splitlines() if "forbidden" in line.lower() and NOT_OURS not in line]
    assert refused == []
