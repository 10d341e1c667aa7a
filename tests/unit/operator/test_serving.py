"""What the operator reads of a server's pods: the counts of the real server's metrics, and why a pod is not ready."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from catsdogs.server.metrics import Metrics
from mlops_operator import serving
from mlops_operator.api.gate import Traffic, together


def answered(*requests: tuple[str, str, float]) -> str:
    """The server's own metrics after these answers: route, status, seconds."""
    metrics = Metrics()
    for route, status, seconds in requests:
        error = status if status >= "500" else ""
        metrics.requests.labels("POST", "http", route, status, error).observe(seconds)
    return metrics.text().decode()


def test_counts_what_the_server_says_of_predict_alone() -> None:
    text = answered(
        ("/predict", "200", 0.003), ("/predict", "200", 0.03), ("/predict", "503", 0.003), ("/health", "500", 9.0)
    )
    found = serving.counted(text)
    assert found is not None
    assert (found.requests, found.errors) == (3, 1)
    assert dict(found.buckets)[0.005] == 2
    assert dict(found.buckets)[float("inf")] == 3
    assert 0.02 < found.p95 <= 0.05


def test_a_server_that_was_not_asked_has_no_traffic() -> None:
    assert serving.counted(answered()) == Traffic()


@pytest.mark.parametrize("text", ["{ no metrics", 'x{le="'])
def test_what_is_no_metrics_is_none(text: str) -> None:
    assert serving.counted(text) is None


def test_pods_are_added_up_and_the_percentile_lies_within_its_bucket() -> None:
    one = Traffic(100, 1, ((0.1, 100), (float("inf"), 100)))
    two = Traffic(100, 3, ((0.1, 80), (float("inf"), 100)))
    both = together((one, two))
    assert both == Traffic(200, 4, ((0.1, 180), (float("inf"), 200)))
    assert (both.error_rate, both.p95, together(()).p95) == (0.02, 0.1, 0.0)


def ask(handler: Callable[[web.Request], Awaitable[web.Response]], path: str) -> tuple[Traffic | None, tuple[str, str]]:
    """Traffic and health of a pod whose second port answers like this."""

    async def run() -> tuple[Traffic | None, tuple[str, str]]:
        app = web.Application()
        app.router.add_get(path, handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        original, serving.PORT = serving.PORT, port
        try:
            async with serving.session() as session:
                return await serving.traffic(session, "127.0.0.1"), await serving.health(session, "127.0.0.1")
        finally:
            serving.PORT = original
            await runner.cleanup()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "health_"),
    [
        ({"status": "failed", "reason": "SHA-256 is c,\nnot b"}, ("failed", "SHA-256 is c, not b")),
        ({"status": "waiting", "reason": "gs://b can't be read"}, ("waiting", "gs://b can't be read")),
        ({"status": "healthy", "model_loaded": True}, ("healthy", "")),
        ({"status": "loading", "reason": "the model is being loaded"}, ("", "")),
        ({"status": "failed", "reason": ["no", "text"]}, ("", "")),
        ({"status": ["failed"], "reason": "x"}, ("", "")),
        ([], ("", "")),
    ],
)
def test_a_pod_says_how_it_is(body: object, health_: tuple[str, str]) -> None:
    async def health(_: web.Request) -> web.Response:
        return web.Response(status=503, text=json.dumps(body))

    assert ask(health, "/health") == (None, health_)


def test_an_answer_without_end_is_none() -> None:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="# x\n" * serving.LIMIT)

    assert ask(metrics, "/metrics") == (None, ("", ""))


def test_nobody_there_is_none() -> None:
    async def run() -> Traffic | None:
        async with aiohttp.ClientSession() as session:
            return await serving.traffic(session, "127.0.0.1")

    assert asyncio.run(run()) is None
