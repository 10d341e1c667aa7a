"""The HTTP API on the main port: predictions, lineage, the page and the documentation.
It must not block the event loop: decoding and the network run in the pool's threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from catsdogs.server import health, pages, upload
from catsdogs.server.admission import Full, Room
from catsdogs.server.config import Settings
from catsdogs.server.metrics import Metrics
from catsdogs.server.observe import Observed
from catsdogs.server.state import Served, State

logger = logging.getLogger("catsdogs.server")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Context:
    """All that the handlers share. `pictures` counts what is accepted, `memory` bytes of uploads."""

    settings: Settings
    state: State
    metrics: Metrics
    pool: Executor
    pictures: Room = field(init=False)
    memory: Room = field(init=False)
    limits: upload.Limits = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        object.__setattr__(self, "pictures", Room(settings.workers + settings.queue_limit))
        object.__setattr__(self, "memory", Room(settings.max_buffered))
        limits = upload.Limits(settings.max_upload, settings.receive_seconds)
        object.__setattr__(self, "limits", limits)


def application(context: Context) -> ASGIApp:
    """The ASGI application of the main port."""
    routes = [
        Route("/predict", _predict(context), methods=["POST"]),
        Route("/model", _model(context)),
        *health.routes(context.state, context.metrics),
        *pages.routes(),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _server_error})
    return Observed(app, context.state, context.metrics, frozenset(route.path for route in routes))


def _predict(context: Context) -> Handler:
    async def predict(request: Request) -> Response:
        try:
            served = _served(context)
            data = await upload.picture(request, context.limits, context.memory)
            return await _answer(context, served, data)
        except upload.Refused as refused:
            context.metrics.refused.labels(refused.reason).inc()
            return error_response(refused.status, str(refused), refused.headers)
        except ClientDisconnect:
            context.metrics.refused.labels("disconnect").inc()
            return Response(status_code=400)  # nobody reads it

    return predict


def _served(context: Context) -> Served:
    """The model that will answer, found before any byte of the body is read."""
    served = context.state.served
    if served is None:
        raise upload.Refused(503, "no-model", f"no model yet: {context.state.reason}", {"Retry-After": "2"})
    if context.pictures.full:
        raise upload.busy("busy", "the server is busy; try again")
    return served


async def _answer(context: Context, served: Served, data: bytes) -> Response:
    from catsdogs.images import BadImage

    loop = asyncio.get_running_loop()
    metrics = context.metrics
    try:
        with context.pictures.holding(1):
            metrics.pending.set(context.pictures.used)
            result = await loop.run_in_executor(context.pool, served.predictor.predict, data)
    except Full:
        raise upload.busy("busy", "the server is busy; try again") from None
    except BadImage as bad:
        raise upload.Refused(400, "picture", str(bad)) from bad
    finally:
        metrics.pending.set(context.pictures.used)
    metrics.decode.observe(result.decode_seconds)
    metrics.forward.observe(result.forward_seconds)
    metrics.predictions.labels(result.label).inc()
    metrics.confidence.observe(result.confidence)
    decode, forward = result.decode_seconds * 1000, result.forward_seconds * 1000
    return JSONResponse(
        {
            "label": result.label,
            "confidence": result.confidence,
            "probabilities": result.probabilities,
            "model": {"version": served.version, "sha256": served.sha256},
        },
        headers={"Server-Timing": f"decode;dur={decode:.2f}, forward;dur={forward:.2f}"},
    )


def _model(context: Context) -> Handler:
    async def model(_: Request) -> Response:
        if context.state.served is None:
            return error_response(503, f"no model yet: {context.state.reason}", {"Retry-After": "2"})
        return JSONResponse(context.state.lineage())

    return model


def error_response(status: int, message: str, headers: Any = None) -> Response:
    """Every error of the API has this form: {"error": "one line"}."""
    return JSONResponse({"error": message}, status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = f"{request.method} {request.url.path}: {error.detail}; GET /docs shows the API"
    return error_response(error.status_code, message[:300], error.headers)


async def _server_error(_: Request, error: Exception) -> Response:
    return error_response(500, f"the server failed with {type(error).__name__}; its log says more")
