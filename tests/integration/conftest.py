"""A real API server with its controllers and no node, for all tests of this folder.

KUBERNETES=1.35 (a minor that devcluster.programs knows) takes another version of it.
"""

import os
from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.progress import Reporter
from tests.integration.figures import FIGURES


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.Cluster]:
    """A control plane of its own, gone at the end; fails, never skips, where it can't start."""
    with cluster.isolated_control_plane(Reporter(), os.environ.get("KUBERNETES") or "1.36") as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried."""
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
        FIGURES.clear()
