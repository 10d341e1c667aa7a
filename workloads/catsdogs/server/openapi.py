"""The API described in OpenAPI 3.1: what /openapi.json serves and /docs shows.
It must not promise anything that the handlers don't do; a test compares the two."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_OBJECT: dict[str, Any] = {"type": "object"}


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


SCHEMAS: dict[str, Any] = {
    "Prediction": _object(
        ["label", "confidence", "probabilities", "model"],
        {
            "label": {"type": "string", "enum": ["cat", "dog"]},
            "confidence": {**_SHARE, "description": "The probability of `label`"},
            "probabilities": _object(["cat", "dog"], {"cat": _SHARE, "dog": _SHARE}),
            "model": _object(["version", "sha256"], {"version": _TEXT, "sha256": _TEXT}),
        },
    ),
    "Healthy": _object(
        ["status", "model_loaded", "version", "sha256"],
        {
            "status": {"const": "healthy"},
            "model_loaded": {"const": True},
            "version": _TEXT,
            "sha256": _TEXT,
        },
    ),
    "NotReady": _object(
        ["status", "model_loaded", "reason"],
        {
            "status": {"type": "string", "enum": ["loading", "failed", "draining"]},
            "model_loaded": {"const": False},
            "reason": _TEXT,
        },
    ),
    "Model": _object(
        ["version", "sha256", "uri", "trainingRun", "architecture", "imageSize", "classes"],
        {
            "version": _TEXT,
            "sha256": _TEXT,
            "uri": _TEXT,
            "trainingRun": _TEXT,
            "architecture": _TEXT,
            "imageSize": {"type": "integer", "description": "Pixels a side that the network sees"},
            "classes": {"type": "array", "items": _TEXT},
            "metrics": {**_OBJECT, "description": "Accuracy on the test split, and others"},
            "stoppedBy": _TEXT,
            "createdAt": _TEXT,
            "lineage": {**_OBJECT, "description": "Raw hash, data version, parameters, image, git commit"},
        },
    ),
    "Error": _object(["error"], {"error": {"type": "string", "description": "One line"}}),
}


def _answer(text: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}


_PICTURE: dict[str, Any] = {"schema": {"type": "string", "contentMediaType": "image/*"}}
_FORM = _object(["file"], {"file": {"type": "string", "contentMediaType": "image/*"}})
_NO_MODEL = _answer("No verified model yet; Retry-After says when to ask again", "Error")

_PREDICT = {
    "operationId": "predict",
    "summary": "Is it a cat or a dog?",
    "description": "One JPEG or PNG of at most 10 MB, as a multipart field (`file` or any other name) or as "
    "the whole body. The picture is neither stored nor logged.",
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "image/jpeg": _PICTURE,
            "image/png": _PICTURE,
        },
    },
    "responses": {
        "200": _answer("The answer, with headers X-Model-Version, X-Model-Sha256, X-Request-Id", "Prediction"),
        "400": _answer("Not a picture that can be read, or a malformed form", "Error"),
        "408": _answer("The request was not received in time", "Error"),
        "413": _answer("The picture is too large", "Error"),
        "415": _answer("Another content type", "Error"),
        "503": _answer("Too busy, or no model yet; Retry-After says when to ask again", "Error"),
    },
}


def _get(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"operationId": operation, "summary": summary, "responses": responses}}


def _typed(text: str, media_type: str) -> dict[str, Any]:
    return {"200": {"description": text, "content": {media_type: {"schema": _TEXT}}}}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Cats and dogs",
        "version": "1",
        "description": "A picture in, one verified model's answer out.",
    },
    "paths": {
        "/predict": {"post": _PREDICT},
        "/model": _get(
            "model",
            "Where the served model comes from",
            {"200": _answer("The model's lineage and metrics", "Model"), "503": _NO_MODEL},
        ),
        "/health": _get(
            "health",
            "Is a verified model loaded?",
            {
                "200": _answer("A verified model answers", "Healthy"),
                "503": _answer("None does; `reason` says why", "NotReady"),
            },
        ),
        "/live": _get(
            "live",
            "Does the process run?",
            {"200": {"description": "It does", "content": {"application/json": {"schema": _OBJECT}}}},
        ),
        "/metrics": _get("metrics", "Prometheus metrics", _typed("Metrics", "text/plain")),
        "/": _get("page", "A page to try it", _typed("The page", "text/html")),
        "/docs": _get("docs", "This documentation", _typed("The documentation", "text/html")),
        "/openapi.json": _get("openapi", "This API in OpenAPI 3.1", _typed("The document", "application/json")),
    },
    "components": {"schemas": SCHEMAS},
}
