"""The application of the main port: its routes, and what every request passes through.
It must not block the event loop: decoding and the network run in the pool's threads."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from catsdogs.server import health, pages, predict, work
from catsdogs.server.context import Context
from catsdogs.server.observe import Observed
from catsdogs.server.work import error_response

__all__ = ["Context", "application"]


def application(context: Context) -> ASGIApp:
    """The ASGI application of the main port."""
    routes = [
        Route("/predict", predict.handler(context), methods=["POST"]),
        Route("/model", _model(context)),
        *health.routes(context.state, context.metrics),
        *pages.routes(),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _server_error})
    return Observed(app, context.state, context.metrics, frozenset(route.path for route in routes))


def _model(context: Context) -> work.Handler:
    async def model(_: Request) -> Response:
        if context.state.served is None:
            refused = work.no_model(context)
            return error_response(refused.status, str(refused), refused.headers)
        return JSONResponse(context.state.lineage())

    return model


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = f"{request.method} {request.url.path}: {error.detail}; GET /docs shows the API"
    return error_response(error.status_code, message[:300], error.headers)


async def _server_error(_: Request, error: Exception) -> Response:
    return error_response(500, f"the server failed with {type(error).__name__}; its log says more")
