"""A real API server with its controllers and no node, and on it the real operator for TrainingRuns.

KUBERNETES=1.35 (a minor that devcluster.programs knows) takes another version of it.
"""

import os
from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.progress import Reporter
from tests.integration.figures import FIGURES
from tests.integration.world import IMAGE, NAMESPACE, RAW, ROOT, Kubectl, Operator, install
from tests.unit.operator.bucket_server import Buckets, bucket_server

NOT_OURS = "The Job can't make a pod"  # what the Job controller was refused, not the operator


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.Cluster]:
    """A control plane of its own, gone at the end; fails, never skips, where it can't start."""
    with cluster.isolated_control_plane(Reporter(), os.environ.get("KUBERNETES") or "1.36") as running:
        ask = Kubectl(running, "default")
        ask("apply", "--server-side", "-f", str(ROOT / "tests/integration/http_routes.yaml"))
        ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried."""
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
        FIGURES.clear()


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
    return install(control_plane, NAMESPACE)


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
        found.end()
    log = found.log.read_text()
    assert "Traceback" not in log
    refused = [line for line in log.splitlines() if "forbidden" in line.lower() and NOT_OURS not in line]
    assert refused == []
