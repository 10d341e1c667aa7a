"""The application of the main port: its routes, and what every request passes through.
It must not block the event loop: decoding and the network run in the pool's threads."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from catsdogs.server import explain, health, pages, predict, v2, work
from catsdogs.server.clients import Guard, Keys
from catsdogs.server.config import Settings
from catsdogs.server.context import Context
from catsdogs.server.observe import Observed
from catsdogs.server.tensors import BINARY_LENGTH
from catsdogs.server.work import error_response

__all__ = ["Context", "application"]


EXPOSED = ("X-Model-Version", "X-Model-Sha256", "X-Training-Run", "X-Request-Id", "Server-Timing", "Retry-After")


def application(context: Context) -> ASGIApp:
    """The ASGI application of the main port. Raises ConfigError when the API keys can't be read."""
    routes = [
        Route("/predict", predict.handler(context), methods=["POST"]),
        Route("/explain", explain.handler(context), methods=["POST"]),
        Route("/model", _model(context)),
        *v2.routes(context),
        *health.routes(context.state, context.metrics),
        *pages.routes(),
    ]
    handlers = {HTTPException: _http_error, Exception: _server_error}
    app = _opened(context.settings, Starlette(routes=routes, exception_handlers=handlers))
    paths = {route.endpoint: route.path for route in routes}
    return Observed(app, context.state, context.metrics, paths, context.tracing, context.settings.project)


def _opened(settings: Settings, app: ASGIApp) -> ASGIApp:
    """What lets others in, where it is set: API keys, and outside of them CORS, whose preflights carry no key."""
    if settings.api_keys_file:
        needed = error_response(401, "an API key is needed: send it as X-API-Key", {"WWW-Authenticate": "Bearer"})
        app = Guard(app, Keys(settings.api_keys_file), needed)
    if settings.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type", "X-API-Key", "X-Request-Id", BINARY_LENGTH),
            expose_headers=EXPOSED,
        )
    return app


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
