"""The API described in OpenAPI 3.1: what /openapi.json serves and /docs shows.
It must not promise anything that the handlers don't do; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from catsdogs.server.clients import OPEN
from catsdogs.server.schemas import HEADERS, PICTURE, SCHEMAS, TEXT, Schema, record, reference, several
from catsdogs.server.tensors import BINARY_LENGTH

_EVERYWHERE = ("X-Request-Id", "X-Model-Version", "X-Model-Sha256", "X-Training-Run")
_KEY: list[dict[str, list[str]]] = [{}, {"key": []}, {"bearer": []}]  # none where the server asks for none


def _answer(text: str, body: Schema | str, *headers: str, media_type: str = "application/json") -> dict[str, Any]:
    """A response; `body` is a schema or the name of one."""
    schema = reference(body) if isinstance(body, str) else body
    return {
        "description": text,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*_EVERYWHERE, *headers)},
        "content": {media_type: {"schema": schema}},
    }


_NO_MODEL = _answer("No verified model yet", "Error", "Retry-After")
_NO_KEY = _answer("The server asks for an API key, and none that it knows was sent", "Error", "WWW-Authenticate")
_FAILED = _answer("The server failed; its log says more, under the request's id", "Error")
_NOT_HERE = _answer("Another model or version than the one that is served", "Error")
_WORK = {
    "408": _answer("The request was not received in time", "Error"),
    "413": _answer("Too large, or too many pictures", "Error"),
    "415": _answer("Another content type or encoding", "Error"),
    "429": _answer("More pictures than this client may send", "Error", "Retry-After"),
    "500": _FAILED,
    "503": _answer("Too busy, or no model yet", "Error", "Retry-After"),
}


def _operation(path: str, name: str, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    if path not in OPEN:
        responses = {**responses, "401": _NO_KEY}
        more["security"] = _KEY
    ordered = dict(sorted(responses.items()))
    return {"operationId": name, "summary": summary, **more, "responses": ordered}


def _pictures(most: int) -> dict[str, Any]:
    form = record(["file"], {"file": several(PICTURE, most)})
    raw = {"image/jpeg": {"schema": PICTURE}, "image/png": {"schema": PICTURE}}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}


_BAD_PICTURE = _answer("Not a picture that can be read, or a malformed form", "Error")
_PREDICT = _operation(
    "/predict",
    "predict",
    "Is it a cat or a dog?",
    {
        "200": _answer(
            "One picture: its answer. Several: `predictions`, in their order, where a picture that can't be read has "
            "an `error` in its place",
            {"anyOf": [reference("Prediction"), reference("Predictions")]},
            "Server-Timing",
        ),
        "400": _BAD_PICTURE,
        **_WORK,
    },
    description="JPEG or PNG, as multipart fields (`file`, `image` or any other name) or one as the whole body; by "
    "default at most 16 pictures and 10 MB together. They are neither stored nor logged.",
    requestBody=_pictures(16),
)
_EXPLAIN = _operation(
    "/explain",
    "explain",
    "What did the network look at?",
    {"200": _answer("The answer, and what each part of the picture gave to it", "Explanation"), "400": _BAD_PICTURE}
    | _WORK,
    description="One picture, sent as to `/predict`. The map is exact: it adds up to the difference of the logits.",
    requestBody=_pictures(1),
)


def _get(path: str, name: str, summary: str, *responses: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"get": _operation(path, name, summary, dict(responses), **more)}


def _file(path: str, name: str, summary: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "object"} if media_type == "application/json" else TEXT
    return _get(path, name, summary, ("200", _answer(summary, schema, media_type=media_type)))


def _v2_model(path: str, suffix: str, parameters: list[Schema]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The three paths of a model, with or without a version."""
    metadata = ("200", _answer("Its inputs and outputs", "ModelMetadata"))
    ready = ("200", _answer("Whether it takes new requests", "ModelReady"))
    others = (("404", _NOT_HERE), ("503", _NO_MODEL))
    found = _answer("The outputs; with binary outputs they follow the JSON", "InferenceResponse", BINARY_LENGTH)
    found["content"]["application/octet-stream"] = {"schema": {}}
    infer = _operation(
        path,
        f"v2Infer{suffix}",
        "Open Inference Protocol: inference",
        {"200": found, "400": _answer("A request or picture that can't be read", "Error"), "404": _NOT_HERE, **_WORK},
        description="One input: BYTES, encoded pictures (base64 in JSON), or UINT8, pixels. A tensor may follow the "
        f"JSON in binary, whose length `{BINARY_LENGTH}` tells.",
        parameters=[*parameters, _parameter(BINARY_LENGTH, "header", {"type": "integer", "minimum": 0})],
        requestBody={
            "required": True,
            "content": {"application/json": {"schema": reference("InferenceRequest")}},
        },
    )
    about = "Open Inference Protocol: the model"
    yield path, _get(path, f"v2Model{suffix}", about, metadata, *others, parameters=parameters)
    yield (
        f"{path}/ready",
        _get(path, f"v2ModelReady{suffix}", f"{about} is ready", ready, *others, parameters=parameters),
    )
    yield f"{path}/infer", {"post": infer}


def _parameter(name: str, where: str, schema: Schema = TEXT) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


_NAME, _VERSION = _parameter("name", "path"), _parameter("version", "path")
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Cats and dogs",
        "version": "1",
        "description": "A picture in, one verified model's answer out.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": {
        "/predict": {"post": _PREDICT},
        "/explain": {"post": _EXPLAIN},
        "/model": _get(
            "/model",
            "model",
            "Where the served model comes from",
            ("200", _answer("The model's lineage and metrics", "Model")),
            ("503", _NO_MODEL),
        ),
        "/health": _get(
            "/health",
            "health",
            "Is a verified model loaded?",
            ("200", _answer("A verified model answers", "Healthy")),
            ("503", _answer("None does; `reason` says why", "NotReady")),
        ),
        "/live": _get("/live", "live", "Does the process run?", ("200", _answer("It does", "Live"))),
        "/metrics": _file("/metrics", "metrics", "Prometheus metrics", "text/plain"),
        "/v2": _get(
            "/v2", "v2Server", "Open Inference Protocol: the server", ("200", _answer("Its name", "ServerMetadata"))
        ),
        "/v2/health/live": _get(
            "/v2/health/live",
            "v2Live",
            "Open Inference Protocol: does the process run?",
            ("200", _answer("It does", "ServerLive")),
        ),
        "/v2/health/ready": _get(
            "/v2/health/ready",
            "v2Ready",
            "Open Inference Protocol: is a verified model loaded?",
            ("200", _answer("It is", "ServerReady")),
            ("503", _answer("It is not", "ServerReady")),
        ),
        **dict(_v2_model("/v2/models/{name}", "", [_NAME])),
        **dict(_v2_model("/v2/models/{name}/versions/{version}", "Version", [_NAME, _VERSION])),
        "/": _file("/", "page", "A page to try it", "text/html"),
        "/docs": _file("/docs", "docs", "This documentation", "text/html"),
        "/openapi.json": _file("/openapi.json", "openapi", "This API in OpenAPI 3.1", "application/json"),
    },
    "components": {
        "schemas": SCHEMAS,
        "headers": HEADERS,
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        },
    },
}
