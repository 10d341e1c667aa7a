"""The Open Inference Protocol v2 as its clients speak it: JSON and binary tensors, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from catsdogs.server import api, tensors
from tests.workloads.server.samples import picture

JPEG, PNG = picture(), picture("PNG", size=(120, 90))
PIXELS = np.asarray(Image.open(io.BytesIO(PNG)))
INFER = "/v2/models/cats-dogs/infer"
LENGTH = "Inference-Header-Content-Length"


def encoded(*pictures: bytes) -> dict[str, Any]:
    data = [base64.b64encode(one).decode() for one in pictures]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}]}


def shares(client: TestClient, data: bytes) -> list[float]:
    body = client.post("/predict", files={"file": data}).json()
    return [body["probabilities"][name] for name in ("cat", "dog")]


def test_health_and_metadata(client: TestClient, context: api.Context) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    assert client.get("/v2").json() == {"name": "cats-dogs", "version": "1", "extensions": ["binary_tensor_data"]}
    for path in ("/v2/models/cats-dogs", "/v2/models/cats-dogs/versions/abc123def456"):
        assert client.get(path).json() == {
            "name": "cats-dogs",
            "versions": ["abc123def456"],
            "platform": "pytorch",
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [-1]},
                {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
            ],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
            ],
        }
        assert client.get(f"{path}/ready").json() == {"name": "cats-dogs", "ready": True}
    for path, says in (
        ("/v2/models/other", "no model name 'other' here: it is 'cats-dogs'"),
        ("/v2/models/cats-dogs/versions/1/ready", "no model version '1' here: it is 'abc123def456'"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": says})
    assert client.post("/v2/models/other/infer", json=encoded(JPEG)).status_code == 404

    context.state.served = None
    assert client.get("/v2/health/live").status_code == 200
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    assert client.get("/v2/models/cats-dogs").status_code == 503
    assert client.post(INFER, json=encoded(JPEG)).status_code == 503


def test_encoded_pictures_in_json(client: TestClient) -> None:
    answer = client.post(INFER, json={**encoded(JPEG, PNG), "id": "mine"})
    first, second = shares(client, JPEG), shares(client, PNG)
    assert answer.json() == {
        "model_name": "cats-dogs",
        "model_version": "abc123def456",
        "outputs": [
            {
                "name": "label",
                "datatype": "BYTES",
                "shape": [2],
                "data": [("cat", "dog")[int(np.argmax(row))] for row in (first, second)],
            },
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [*first, *second]},
        ],
        "id": "mine",
    }
    assert answer.headers["X-Model-Version"] == "abc123def456"


@pytest.mark.parametrize("data", [PIXELS.tolist(), PIXELS.flatten().tolist()], ids=["nested", "flat"])
def test_pixels_in_json_are_answered_as_their_png(client: TestClient, data: list[Any]) -> None:
    tensor = {"name": "x", "datatype": "UINT8", "shape": [1, 90, 120, 3], "data": data}
    body = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    (output,) = client.post(INFER, json=body).json()["outputs"]
    assert output["data"] == shares(client, PNG)


def binary(tensor: dict[str, Any], raw: bytes, **request: Any) -> dict[str, Any]:
    tensor = {"name": "x", **tensor, "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor], **request}).encode()
    return {"content": text + raw, "headers": {LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}}


def test_binary_tensors_in_and_out(client: TestClient) -> None:
    """As Triton's client sends them when nothing else is said."""
    request = binary(
        {"datatype": "UINT8", "shape": [1, *PIXELS.shape]},
        PIXELS.tobytes(),
        parameters={"binary_data_output": True},
    )
    answer = client.post(INFER, **request)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    expected = shares(client, PNG)
    label = ("cat", "dog")[int(np.argmax(expected))].encode()
    assert json.loads(answer.content[:length])["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 7}},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
    ]
    assert answer.content[length:] == struct.pack("<I", 3) + label + struct.pack("<2f", *expected)

    raw = b"".join(struct.pack("<I", len(one)) + one for one in (PNG, JPEG))
    request = binary(
        {"datatype": "BYTES", "shape": [2, 1]},
        raw,
        outputs=[{"name": "probabilities", "parameters": {"binary_data": False}}],
    )
    (output,) = client.post(INFER, **request).json()["outputs"]
    assert output["data"] == [*expected, *shares(client, JPEG)]


def changed(**changes: Any) -> dict[str, Any]:
    (tensor,) = encoded(JPEG)["inputs"]
    return {"json": {"inputs": [{**tensor, **changes}]}}


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"content": b"{"}, 400, "the body is not JSON"),
        ({"content": b"[" * 100_000}, 400, "the body is not JSON"),
        ({"json": []}, 400, "'inputs' is missing or not of type list"),
        ({"json": {}}, 400, "0 inputs: send one, BYTES (encoded pictures) or UINT8 (pixels)"),
        ({"json": {"inputs": [1]}}, 400, "'shape' is missing or not of type list"),
        ({"json": {**encoded(JPEG), "id": 1}}, 400, "'id' is missing or not of type str"),
        (
            {"json": {**encoded(JPEG), "outputs": [{"name": "logits"}]}},
            400,
            "output 'logits' is unknown: there are label, probabilities",
        ),
        (
            {"json": {**encoded(JPEG), "outputs": [{"name": "label"}] * 3}},
            400,
            "more outputs than label, probabilities",
        ),
        (changed(shape=[]), 400, "'shape' is not 1 to 4 whole numbers from 1 to 65535"),
        (changed(shape=[True]), 400, "'shape' is not 1 to 4 whole numbers from 1 to 65535"),
        (changed(shape=[2]), 400, "shape [2] and 1 pictures do not fit"),
        (changed(shape=[17]), 413, "17 pictures: send at most 16 in one request"),
        (changed(shape=[1, 17], data=["aGVsbG8="] * 17), 413, "17 pictures: send at most 16 in one request"),
        (changed(datatype="FP32"), 400, "datatype 'FP32' is neither BYTES nor UINT8"),
        (changed(data=["§"]), 400, "'data' of BYTES is not base64: JSON can't carry a picture otherwise"),
        (changed(data=[1]), 400, "'data' of BYTES is not base64: JSON can't carry a picture otherwise"),
        (changed(data=["aGVsbG8="]), 400, "picture 1: not a JPEG or PNG picture: send one of these two formats"),
        (
            changed(parameters={"binary_data_size": 9}),
            400,
            "binary_data_size is 9, and 0 bytes follow the JSON",
        ),
        (changed(datatype="UINT8"), 400, "the shape of UINT8 is not [pictures, height, width, 3]"),
        (
            changed(datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2, 256]),
            400,
            "'data' is not whole numbers from 0 to 255",
        ),
        (
            changed(datatype="UINT8", shape=[1, 1, 1, 3], data=[[1, 2], 3]),
            400,
            "'data' is not whole numbers from 0 to 255",
        ),
        (
            changed(datatype="UINT8", shape=[1, 65535, 65535, 3], data=[1]),
            400,
            "shape [1, 65535, 65535, 3] and 1 values do not fit",
        ),
        (
            {"content": b"[" + b"1," * 130_000 + b"1]"},
            413,
            "more than 100000 values in JSON: send the tensor in binary",
        ),
        ({"content": b"x" * 400_000}, 413, "the picture is larger than 200000 bytes"),
        ({"json": encoded(b"x" * 150_000, b"x" * 60_000)}, 413, "the pictures are larger than 200000 bytes"),
        ({"json": {}, "headers": {LENGTH: "-1"}}, 400, f"{LENGTH} is not a number"),
        ({"json": {}, "headers": {LENGTH: "99"}}, 400, f"{LENGTH} is larger than the body"),
        (
            binary({"datatype": "BYTES", "shape": [1]}, b"\xff\xff\xff\xffx"),
            400,
            "the lengths in the binary BYTES tensor do not fit its size",
        ),
        ({"json": {}, "headers": {"Content-Encoding": "gzip"}}, 415, "send the picture without Content-Encoding"),
    ],
)
def test_refusals(
    client: TestClient, context: api.Context, monkeypatch: pytest.MonkeyPatch, request_: Any, status: int, says: str
) -> None:
    monkeypatch.setattr(tensors, "MAX_VALUES", 100_000)
    answer = client.post(INFER, **request_)
    assert (answer.status_code, answer.json()) == (status, {"error": says})
    assert (context.pictures.used, context.memory.used) == (0, 0)
