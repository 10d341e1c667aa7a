"""The bodies and headers of the API in JSON Schema, for the OpenAPI document.
It must not promise anything that the handlers don't do; a test sends requests made from it and checks the answers."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_MILLISECONDS: Schema = {"type": "number", "minimum": 0}
_SIDE: Schema = {"type": "integer", "minimum": 1, "maximum": 65_535}
PICTURE: Schema = {"type": "string", "format": "binary", "description": "A JPEG or PNG file"}


def record(required: list[str], properties: Schema, **more: Any) -> Schema:
    """An object with these properties."""
    return {"type": "object", "required": required, "properties": properties, **more}


def reference(name: str) -> Schema:
    """The schema of that name in the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def several(items: Schema, most: int | None = None) -> Schema:
    """A list of at least one."""
    return {"type": "array", "items": items, "minItems": 1, **({"maxItems": most} if most else {})}


_ANSWER: Schema = {
    "label": {"type": "string", "enum": ["cat", "dog"]},
    "confidence": {**_SHARE, "description": "The probability of `label`"},
    "probabilities": record(["cat", "dog"], {"cat": _SHARE, "dog": _SHARE}),
    "timing": record(
        ["queue_ms", "decode_ms", "forward_ms"],
        {
            "queue_ms": {**_MILLISECONDS, "description": "Waiting for a free core"},
            "decode_ms": {**_MILLISECONDS, "description": "Decoding and resizing"},
            "forward_ms": {**_MILLISECONDS, "description": "The network itself"},
        },
    ),
}
_MODEL_ID = record(["version", "sha256"], {"version": TEXT, "sha256": TEXT})
_HEATMAP = record(
    ["values", "bias"],
    {
        "values": {
            **several(several({"type": "number"})),
            "description": "Rows from the top, of places from the left, which cover the whole picture; positive speaks "
            "for `label`, negative for the other class. Their sum and `bias` are the difference of the two logits",
        },
        "bias": {"type": "number"},
    },
)
_TENSOR_PARAMETERS = record(
    [], {"binary_data_size": {"type": "integer", "minimum": 0, "description": "Bytes of it that follow the JSON"}}
)
_BYTES_TENSOR = record(
    ["name", "datatype", "shape"],
    {
        "name": TEXT,
        "datatype": {"const": "BYTES"},
        "shape": several(_SIDE, 4),
        "data": several({"type": "string", "contentEncoding": "base64", "description": "A JPEG or PNG file"}),
        "parameters": _TENSOR_PARAMETERS,
    },
)
_PIXEL_TENSOR = record(
    ["name", "datatype", "shape"],
    {
        "name": TEXT,
        "datatype": {"const": "UINT8"},
        "shape": {**several(_SIDE, 4), "minItems": 4, "description": "Pictures, height, width, 3 (RGB)"},
        "data": {"type": "array", "description": "0 to 255, nested by `shape` or flat"},
        "parameters": _TENSOR_PARAMETERS,
    },
)

SCHEMAS: dict[str, Schema] = {
    "Prediction": record([*_ANSWER, "model"], {**_ANSWER, "model": _MODEL_ID}),
    "Predictions": record(
        ["predictions", "model"],
        {
            "predictions": several({"anyOf": [record(list(_ANSWER), _ANSWER), reference("Error")]}),
            "model": _MODEL_ID,
        },
        description="What is said of several pictures, in the order in which they were sent",
    ),
    "Explanation": record([*_ANSWER, "model", "heatmap"], {**_ANSWER, "model": _MODEL_ID, "heatmap": _HEATMAP}),
    "Healthy": record(
        ["status", "model_loaded", "version", "sha256"],
        {"status": {"const": "healthy"}, "model_loaded": {"const": True}, "version": TEXT, "sha256": TEXT},
    ),
    "NotReady": record(
        ["status", "model_loaded", "reason"],
        {
            "status": {"type": "string", "enum": ["loading", "waiting", "failed", "draining"]},
            "model_loaded": {"const": False},
            "reason": TEXT,
        },
    ),
    "Live": record(["status"], {"status": {"const": "alive"}}),
    "Model": record(
        [
            "version", "sha256", "uri", "trainingRun", "architecture", "imageSize", "classes",
            "metrics", "stoppedBy", "createdAt", "lineage",
        ],
        {
            "version": TEXT,
            "sha256": TEXT,
            "uri": TEXT,
            "trainingRun": TEXT,
            "architecture": TEXT,
            "imageSize": {"type": "integer", "description": "Pixels a side that the network sees"},
            "classes": several(TEXT),
            "metrics": {**OBJECT, "description": "Accuracy on the test split, and others"},
            "stoppedBy": TEXT,
            "createdAt": TEXT,
            "lineage": {**OBJECT, "description": "Raw hash, data version, parameters, image, git commit"},
        },
    ),
    "Error": record(["error"], {"error": {"type": "string", "description": "One line"}}),
    "ServerLive": record(["live"], {"live": {"const": True}}),
    "ServerReady": record(["ready"], {"ready": {"type": "boolean"}}),
    "ServerMetadata": record(
        ["name", "version", "extensions"], {"name": TEXT, "version": TEXT, "extensions": several(TEXT)}
    ),
    "ModelReady": record(["name", "ready"], {"name": TEXT, "ready": {"type": "boolean"}}),
    "ModelMetadata": record(
        ["name", "versions", "platform", "inputs", "outputs"],
        {
            "name": TEXT,
            "versions": several(TEXT),
            "platform": TEXT,
            "inputs": several(reference("TensorMetadata")),
            "outputs": several(reference("TensorMetadata")),
        },
    ),
    "TensorMetadata": record(
        ["name", "datatype", "shape"], {"name": TEXT, "datatype": TEXT, "shape": several({"type": "integer"})}
    ),
    "InferenceRequest": record(
        ["inputs"],
        {
            "id": TEXT,
            "inputs": several({"anyOf": [_BYTES_TENSOR, _PIXEL_TENSOR]}, 1),
            "outputs": {
                "type": "array",
                "maxItems": 2,
                "items": record(
                    ["name"],
                    {
                        "name": {"type": "string", "enum": ["label", "probabilities"]},
                        "parameters": record([], {"binary_data": {"type": "boolean"}}),
                    },
                ),
            },
            "parameters": record([], {"binary_data_output": {"type": "boolean"}}),
        },
    ),
    "InferenceResponse": record(
        ["model_name", "model_version", "outputs"],
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "id": TEXT,
            "outputs": several(
                record(
                    ["name", "datatype", "shape"],
                    {
                        "name": TEXT,
                        "datatype": {"type": "string", "enum": ["BYTES", "FP32"]},
                        "shape": several({"type": "integer"}),
                        "data": several({"type": ["string", "number"]}),
                        "parameters": _TENSOR_PARAMETERS,
                    },
                )
            ),
        },
    ),
}  # fmt: skip


def _header(description: str, schema: Schema = TEXT, *, always: bool = False) -> Schema:
    return {"description": description, "schema": schema, "required": always}


HEADERS: dict[str, Schema] = {
    "X-Request-Id": _header("The request's own id when it had a usable one, else a fresh one", always=True),
    "X-Model-Version": _header("Version of the served model, while there is one"),
    "X-Model-Sha256": _header("SHA-256 of its file"),
    "X-Training-Run": _header("The TrainingRun that made it"),
    "Server-Timing": _header("Milliseconds of queue, decode and forward"),
    "Retry-After": _header("Seconds after which to ask again", {"type": "integer"}, always=True),
    "WWW-Authenticate": _header("Bearer", always=True),
    "Inference-Header-Content-Length": _header(
        "Length of the JSON, when tensors follow in binary", {"type": "integer"}
    ),
}
