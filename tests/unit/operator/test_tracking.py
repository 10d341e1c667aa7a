"""Whether MLflow is there: its own health check, and nothing but a yes or no."""

import pytest
from aiohttp import web

from mlops_operator import tracking


async def served(status: int) -> tuple[web.AppRunner, str]:
    async def health(_: web.Request) -> web.Response:
        return web.Response(status=status)

    application = web.Application()
    application.add_routes([web.get("/health", health)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


@pytest.mark.parametrize(("status", "there"), [(200, True), (503, False), (403, False)])
async def test_health_is_asked(status: int, there: bool) -> None:
    runner, address = await served(status)
    assert await tracking.answers(address) is there
    await runner.cleanup()
    assert await tracking.answers(address) is False


@pytest.mark.parametrize("address", ["", "file:///mlruns", "http://[", "databricks"])
async def test_what_is_no_address_is_no_exception(address: str) -> None:
    assert await tracking.answers(address) is False
