"""Health, liveness and metrics: routes for the main port, and the whole application of the second one.
It must not wait for anything, so that a busy /predict never makes the pod look dead."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catsdogs.server import v2
from catsdogs.server.metrics import CONTENT_TYPE, Metrics
from catsdogs.server.state import State


def routes(state: State, metrics: Metrics) -> list[Route]:
    """GET /health (200 only with a verified model), /live (200 while the process runs), both also by the names of
    the Open Inference Protocol, and /metrics."""

    async def health(_: Request) -> Response:
        status, body = state.health()
        return JSONResponse(body, status, headers={"Cache-Control": "no-store"})

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def metric_page(_: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [
        Route("/health", health),
        Route("/live", live),
        Route("/metrics", metric_page),
        *v2.health_routes(state),
    ]


def application(state: State, metrics: Metrics) -> Starlette:
    """The ASGI application of the second port."""
    return Starlette(routes=routes(state, metrics))
