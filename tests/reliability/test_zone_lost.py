"""A zone goes silent: from the last heartbeat to all replicas in the other zone, by the real controllers.

The two nodes are simulated (tests/integration/nodes.py); what is timed are the control plane's own delays.
"""

from __future__ import annotations

import time

import pytest

from devcluster import cluster
from devcluster.progress import Reporter
from tests.integration.nodes import eventually, nodes
from tests.integration.test_zones import serve, spread

TWO = {"a-1": "zone-a", "b-1": "zone-b"}


def test_what_a_lost_zone_served_is_served_by_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    with cluster.isolated_control_plane(Reporter()) as control_plane, nodes(control_plane, TWO) as simulated:
        serve(simulated, 2)
        eventually("one in each zone", lambda: spread(simulated) == ([1, 1], [1, 1]))

        simulated.lose("zone-a")
        began = time.monotonic()
        eventually("its pod gets no more requests", lambda: spread(simulated) == ([1], [1]), 120)
        unready = time.monotonic() - began
        eventually("both are in the other zone", lambda: spread(simulated) == ([2], [2]), 120)
        moved = time.monotonic() - began
        assert {simulated.zone_of(pod) for pod in simulated.ready()} == {"zone-b"}
        with capsys.disabled():
            print(f"\nzone lost: its pod out of the Service after {unready:.0f} s, replaced after {moved:.0f} s")
