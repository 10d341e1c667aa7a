"""What the operator learns of its servers' pods from a Prometheus, and that it does without when that gives nothing."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import google.auth
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mlops_operator import prometheus
from mlops_operator.api.gate import Traffic
from mlops_operator.prometheus import Prometheus
from mlops_operator.serving import DURATION
from tests.unit.operator.test_bucket_login import Account

Handler = Callable[[web.Request], Awaitable[web.Response]]
# What the pods' last scrapes gave: metric, labels, value.
SCRAPED: list[tuple[str, Mapping[str, str], int]] = [
    (f"{DURATION}_count", {"pod": "pets-1", "http_response_status_code": "200", "http_route": "/predict"}, 97),
    (f"{DURATION}_count", {"pod": "pets-1", "http_response_status_code": "503", "http_route": "/predict"}, 3),
    (f"{DURATION}_count", {"pod": "pets-1", "http_response_status_code": "500", "http_route": "/health"}, 9),
    (f"{DURATION}_count", {"pod": "pets-2", "http_response_status_code": "200", "http_route": "/predict"}, 1),
    (f"{DURATION}_bucket", {"pod": "pets-1", "le": "0.1", "http_route": "/predict"}, 60),
    (f"{DURATION}_bucket", {"pod": "pets-1", "le": "+Inf", "http_route": "/predict"}, 100),
    (f"{DURATION}_bucket", {"pod": "pets-2", "le": "0.1", "http_route": "/predict"}, 1),
    (f"{DURATION}_bucket", {"pod": "pets-2", "le": "+Inf", "http_route": "/predict"}, 1),
]
SUM = re.compile(r'sum by \(([a-z_, ]+)\) \((\w+)\{namespace=~"([^"]*)",http_route="([^"]*)"\}\)')


async def answers(request: web.Request) -> web.Response:
    """Answers as the query API does; knows only the form of query that is asked."""
    asked = SUM.fullmatch(str((await request.post())["query"]))
    assert asked is not None
    by, metric, namespaces, route = asked.groups()
    assert re.fullmatch(namespaces, "team")
    sums: dict[tuple[tuple[str, str], ...], int] = {}
    for name, labels, value in SCRAPED:
        if name == metric and labels["http_route"] == route:
            key = tuple((label, {"namespace": "team", **labels}[label]) for label in by.split(", "))
            sums[key] = sums.get(key, 0) + value
    result = [{"metric": dict(key), "value": [1767322800.0, str(value)]} for key, value in sums.items()]
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


def says(body: Any, status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return handler


@asynccontextmanager
async def asked(handler: Handler) -> AsyncIterator[Prometheus]:
    """A Prometheus at the other end of a real connection."""
    app = web.Application()
    app.router.add_post("/api/v1/query", handler)
    async with TestServer(app) as server, Prometheus(str(server.make_url("")).rstrip("/")) as found:
        yield found


async def test_the_counts_of_each_pod() -> None:
    async with asked(answers) as found:
        assert await found.traffic(("team", "other")) == {
            ("team", "pets-1"): Traffic(100, 3, ((0.1, 60), (float("inf"), 100))),
            ("team", "pets-2"): Traffic(1, 0, ((0.1, 1), (float("inf"), 1))),
        }
        assert found.problem == ""


async def test_it_is_not_asked_more_often_than_it_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[None] = []

    async def counted(request: web.Request) -> web.Response:
        times.append(None)
        return await answers(request)

    async with asked(counted) as found:
        assert await found.traffic(("team",)) == await found.traffic(("team",))
        assert len(times) == 2  # counts and buckets
        monkeypatch.setattr(prometheus, "QUERY_SECONDS", 0.0)
        await found.traffic(("team",))
        assert len(times) == 4


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (says({"status": "error", "error": "no right"}, 403), "ValueError 403"),
        (says({"status": "success", "data": {}}), "KeyError"),
        (says({"data": {"result": [{"metric": {"namespace": "team", "pod": "x"}, "value": [0, "NaN"]}]}}), "no count"),
        (says({"data": {"result": [{"metric": {"pod": "x"}, "value": [0, "1"]}]}}), "'namespace'"),
        (says("x" * prometheus.LIMIT), "longer than"),
    ],
)
async def test_an_answer_that_is_none_is_told_once_and_forgets_what_was_known(
    handler: Handler, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prometheus, "QUERY_SECONDS", 0.0)
    now: list[Handler] = [answers]

    async def changing(request: web.Request) -> web.Response:
        return await now[0](request)

    async with asked(changing) as found:
        assert await found.traffic(("team",))
        now[0] = handler
        with caplog.at_level(logging.WARNING):
            assert [await found.traffic(("team",)) for _ in range(2)] == [{}, {}]
        assert words in found.problem
        [told] = caplog.messages
        assert told == f"{found.problem}; pods are asked themselves"
        now[0] = answers
        assert await found.traffic(("team",))
        assert found.problem == ""


async def test_nobody_there_is_told() -> None:
    async with Prometheus("http://127.0.0.1:9") as found:
        assert await found.traffic(("team",)) == {}
        assert "http://127.0.0.1:9 can't be asked: ClientConnectorError" in found.problem


async def test_without_an_address_nobody_is_asked() -> None:
    async with Prometheus("") as found:
        assert (await found.traffic(("team",)), found.problem) == ({}, "")


async def test_googles_is_asked_as_the_account_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    account, scopes = Account(), []

    def default(scopes_: list[str]) -> tuple[Account, str]:
        scopes.extend(scopes_)
        return account, "project"

    monkeypatch.setattr(google.auth, "default", lambda scopes: default(scopes))
    google_ = Prometheus("https://monitoring.googleapis.com/v1/projects/p/location/global/prometheus")
    assert google_._account is not None
    assert await google_._account.headers() == {"Authorization": "Bearer t1"}
    assert scopes == ["https://www.googleapis.com/auth/monitoring.read"]
    for other in ("http://prometheus.gmp-system:9090", "https://googleapis.com.example/"):
        assert Prometheus(other)._account is None
