"""50 settled runs: in ten minutes the operator writes nothing."""

from __future__ import annotations

import asyncio

import pytest

from devcluster.cluster import Cluster
from tests.integration.figures import tell
from tests.reliability.operator import quiet
from tests.reliability.operator.world import house

SECONDS = 600


def test_settled_runs_cost_no_write(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def watched() -> list[str]:
        async with house(control_plane, tmp_path_factory.mktemp("quiet")) as shared, shared.world() as world:
            await quiet.settle(world)
            return await quiet.writes_in(world, SECONDS)

    assert asyncio.run(watched()) == []
    tell(f"quiet: {quiet.EACH * len(quiet.KINDS)} settled runs, {SECONDS} s, 0 writes")
