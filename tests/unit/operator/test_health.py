"""The operator's probe fails when it no longer sees the cluster, though its process lives."""

import asyncio

import aiohttp
import pytest

from devcluster.control_plane import free_ports
from mlops_operator.cluster import ApiException
from mlops_operator.handlers import health
from mlops_operator.handlers.background import LIST_MAX_AGE, relist
from mlops_operator.handlers.context import Context
from tests.unit.operator.test_context import Listed, context


async def probed(here: Context) -> tuple[int, int]:
    """Status and age in seconds, as the kubelet gets them."""
    (port,) = free_ports(1)
    runner = await health.serve(here, port)
    try:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/healthz") as answer:
            return answer.status, (await answer.json())["listAgeSeconds"]
    finally:
        await runner.cleanup()


async def test_it_fails_once_nothing_was_listed_for_long() -> None:
    here, _ = context()
    assert await probed(here) == (200, 0)
    here.listed_at -= LIST_MAX_AGE
    assert await probed(here) == (503, LIST_MAX_AGE)


async def test_a_list_that_breaks_off_does_not_count() -> None:
    class Broken(Listed):
        async def serves(self, *_: str) -> bool:
            raise ApiException(status=503)

    deaf, _ = context(Broken())
    deaf.listed_at -= LIST_MAX_AGE
    with pytest.raises(ApiException):
        await relist(deaf)
    assert (await probed(deaf))[0] == 503
    seeing, _ = context(Listed())
    seeing.listed_at -= LIST_MAX_AGE
    await asyncio.wait_for(relist(seeing), 5)
    assert (await probed(seeing))[0] == 200
