"""400 generated lives: the end of each is that of a fresh run of the same spec."""

from __future__ import annotations

import asyncio

import pytest

from devcluster.cluster import Cluster
from tests.integration.figures import tell
from tests.reliability.operator import lives
from tests.reliability.operator.world import House, house

WORLDS, LIVES, AT_ONCE = 4, 100, 12
REMADE = 60


async def lived(shared: House, seeds: range, at_once: int) -> list[str]:
    """Live some lives in one world, with a fresh run of each in another; returns what differed."""
    gate = asyncio.Semaphore(at_once)
    async with shared.world() as world, shared.world() as fresh:
        world.kubelet.default = fresh.kubelet.default = lives.fate

        async def one(seed: int) -> str:
            async with gate:
                return await lives.compared(world, fresh, f"life-{seed}", seed)

        found = await asyncio.gather(*(one(seed) for seed in seeds))
        left = world.zombies()
        return [line for line in found if line] + left


def test_each_life_ends_as_a_fresh_run(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def all_of_them() -> list[str]:
        async with house(control_plane, tmp_path_factory.mktemp("lives")) as shared:
            parts = [range(1 + LIVES * part, 1 + LIVES * (part + 1)) for part in range(WORLDS)]
            return [line for part in await asyncio.gather(*(lived(shared, p, AT_ONCE) for p in parts)) for line in part]

    assert asyncio.run(all_of_them()) == []
    tell(f"generated lives: {WORLDS * LIVES}, each ended as a fresh run")


def test_a_run_made_again_at_once_gets_its_pod(
    control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Some of them at each moment of their Job's first pod."""

    async def all_of_them() -> list[str]:
        async with house(control_plane, tmp_path_factory.mktemp("again")) as shared, shared.world() as world:
            gate = asyncio.Semaphore(8)

            async def one(number: int) -> str:
                async with gate:
                    return await lives.remade(world, f"again-{number}", 10 * number)

            found = await asyncio.gather(*(one(number) for number in range(REMADE)))
            return [line for line in found if line]

    assert asyncio.run(all_of_them()) == []
    tell(f"deleted and made again at once: {REMADE} runs, three times each")
