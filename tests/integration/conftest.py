"""A real API server with its controllers and no node, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.progress import Reporter


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.Cluster]:
    """A control plane of its own, gone at the end; fails, never skips, where it can't start."""
    with cluster.isolated_control_plane(Reporter()) as running:
        yield running
