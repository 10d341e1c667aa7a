"""The operator under its Role less one right, for each: the API server refuses it something that it needs."""

from __future__ import annotations

import asyncio

import pytest

from devcluster.cluster import Cluster
from tests.integration.figures import tell
from tests.reliability.operator import rights
from tests.reliability.operator.calls import Call
from tests.reliability.operator.world import House, house

AT_ONCE = 12


def test_each_right_taken_away_is_missed(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def tried(shared: House, right: Call, gate: asyncio.Semaphore) -> str:
        async with gate, shared.world(role=rights.role_without(right), fault=rights.CONFLICT) as world:
            return await rights.refused(world, right)

    async def all_of_them() -> dict[Call, str]:
        gate, each = asyncio.Semaphore(AT_ONCE), list(rights.rights())
        async with house(control_plane, tmp_path_factory.mktemp("rights")) as shared:
            told = await asyncio.gather(*(tried(shared, right, gate) for right in each))
        return dict(zip(each, told, strict=True))

    found = asyncio.run(all_of_them())
    assert [str(right) for right, words in found.items() if not words] == []
    tell(f"role: {len(found)} rights, each missed when it is taken away")
