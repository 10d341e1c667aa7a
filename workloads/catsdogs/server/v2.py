"""The Open Inference Protocol v2 over HTTP, so that clients of KServe and Triton work.
It must not parse or bound what is sent (tensors), nor decide what is taken on (work)."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catsdogs.server import tensors, upload, work
from catsdogs.server.context import Context
from catsdogs.server.state import Served, State
from catsdogs.server.tensors import BINARY_LENGTH


def health_routes(state: State) -> list[Route]:
    """GET /v2/health/live and /v2/health/ready, for both ports."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        status = state.health()[0]
        return JSONResponse({"ready": status == 200}, status, headers={"Cache-Control": "no-store"})

    return [Route("/v2/health/live", live), Route("/v2/health/ready", ready)]


def routes(context: Context) -> list[Route]:
    """The server's and the model's metadata, and inference; each model path with and without a version."""

    async def server(_: Request) -> Response:
        return JSONResponse({"name": "cats-dogs", "version": "1", "extensions": ["binary_tensor_data"]})

    async def metadata(_: Request, served: Served) -> Response:
        return JSONResponse(_metadata(context, served))

    async def ready(_: Request, __: Served) -> Response:
        return JSONResponse({"name": context.settings.model_name, "ready": not context.state.draining})

    found = [Route("/v2", server)]
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(path, _of_model(context, metadata)),
            Route(f"{path}/ready", _of_model(context, ready)),
            Route(f"{path}/infer", _infer(context), methods=["POST"]),
        ]
    return found


def version_of(served: Served) -> str:
    """The version in the protocol's paths: the model's, or the beginning of its SHA-256."""
    return served.version or served.sha256[:12]


def _named(context: Context, request: Request, served: Served) -> None:
    """Raises Refused when the path names another model than this one."""
    names = {"name": context.settings.model_name, "version": version_of(served)}
    for name, value in request.path_params.items():
        if value != names[name]:
            raise upload.Refused(404, "infer", f"no model {name} {value[:63]!r} here: it is {names[name]!r}")


def _of_model(context: Context, respond: Callable[[Request, Served], Awaitable[Response]]) -> work.Handler:
    async def handle(request: Request) -> Response:
        served = context.state.served
        try:
            if served is None:
                raise work.no_model(context)
            _named(context, request, served)
        except upload.Refused as refused:
            return work.error_response(refused.status, str(refused), refused.headers)
        return await respond(request, served)

    return handle


def _metadata(context: Context, served: Served) -> dict[str, Any]:
    return {
        "name": context.settings.model_name,
        "versions": [version_of(served)],
        "platform": "pytorch",
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        ],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(served.predictor.classes)]},
        ],
    }


def _infer(context: Context) -> work.Handler:
    async def infer(request: Request, served: Served) -> Response:
        _named(context, request, served)
        length = request.headers.get(BINARY_LENGTH)
        if length is not None and not (length.isdecimal() and len(length) < 12):
            raise upload.Refused(400, "infer", f"{BINARY_LENGTH} is not a number")
        body = await upload.body(request, context.limits, context.memory)
        parse = functools.partial(tensors.parse, body, None if length is None else int(length), context.limits)
        asked = await work.in_pool(context, parse)
        inputs = asked.pictures if asked.pixels is None else asked.pixels
        work.count(context, request, len(inputs))
        answers = await _ask(context, served, asked)
        for number, found in enumerate(answers, 1):
            if not isinstance(found, work.Answer):
                raise upload.Refused(400, "picture", f"picture {number}: {found}")
        predictions = [found.prediction for found in answers if isinstance(found, work.Answer)]
        text, size = tensors.answer(asked, predictions, context.settings.model_name, version_of(served))
        if size is None:
            return Response(text, media_type="application/json")
        return Response(text, media_type="application/octet-stream", headers={BINARY_LENGTH: str(size)})

    return work.endpoint(context, infer)


async def _ask(context: Context, served: Served, asked: tensors.Inference) -> list[Any]:
    if asked.pixels is None:
        return await work.ask(context, served.predictor.predict, asked.pictures)
    return await work.ask(context, served.predictor.predict_pixels, list(asked.pixels))
