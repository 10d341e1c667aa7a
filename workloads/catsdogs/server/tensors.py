"""The bodies of the Open Inference Protocol v2: a request to pictures or pixels, predictions to outputs.
It must not know about HTTP routes or networks, and must bound what it parses before it does.

Numbers in JSON cost a hundred times their bytes, so their count is limited before the JSON is read; tensors in
binary (the protocol's extension) need no such limit.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catsdogs.server.upload import Limits, Refused

if TYPE_CHECKING:
    import numpy as np

    from catsdogs.server.predictor import Prediction

# Parsing a million numbers takes 30 ms; a picture of 256 x 256 has 196,608.
MAX_VALUES = 1_000_000
BINARY_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = ("label", "probabilities")


@dataclass(frozen=True)
class Inference:
    """Either `pictures`, encoded, or `pixels`, uint8 RGB (N, H, W, 3); and the wanted outputs, in binary or not."""

    pictures: Sequence[bytes] = ()
    pixels: np.ndarray[Any, Any] | None = None
    id: str = ""
    outputs: tuple[tuple[str, bool], ...] = ((OUTPUTS[0], False), (OUTPUTS[1], False))


def parse(body: bytes, header_length: int | None, limits: Limits) -> Inference:
    """What a request asks; `header_length` is the length of its JSON when tensors follow in binary. Raises Refused."""
    text, binary = (body, b"") if header_length is None else (body[:header_length], body[header_length:])
    if header_length is not None and header_length > len(body):
        raise _bad(f"{BINARY_LENGTH} is larger than the body")
    request = _json(text)
    given = _field(request, "inputs", list, [])
    if len(given) != 1:
        raise _bad(f"{len(given)} inputs: send one, BYTES (encoded pictures) or UINT8 (pixels)")
    outputs, identity = _outputs(request), _field(request, "id", str, "")
    shape, datatype = _shape(given[0]), _field(given[0], "datatype", str)
    if datatype not in ("BYTES", "UINT8"):
        raise _bad(f"datatype {datatype[:20]!r} is neither BYTES nor UINT8")
    count = shape[0] if datatype == "UINT8" else math.prod(shape)
    if count > limits.max_pictures:
        raise Refused(413, "infer", f"{count} pictures: send at most {limits.max_pictures} in one request")
    raw = _binary(given[0], binary)
    if datatype == "UINT8":
        return Inference(pixels=_pixels(given[0], shape, raw), id=identity, outputs=outputs)
    pictures = _split(raw) if raw is not None else _decoded(_field(given[0], "data", list))
    if count != len(pictures):
        raise _bad(f"shape {shape} and {len(pictures)} pictures do not fit")
    if sum(map(len, pictures)) > limits.max_upload:
        raise Refused(413, "large", f"the pictures are larger than {limits.max_upload} bytes")
    return Inference(pictures=pictures, id=identity, outputs=outputs)


def _json(text: bytes) -> Any:
    if text.count(b",") > MAX_VALUES:
        raise Refused(413, "infer", f"more than {MAX_VALUES} values in JSON: send the tensor in binary")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad("the body is not JSON") from error


def answer(asked: Inference, predictions: Sequence[Prediction], name: str, version: str) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON when tensors follow in binary."""
    outputs, tail = [], b""
    for output, in_binary in asked.outputs:
        tensor, raw = _tensor(output, predictions)
        if in_binary:
            del tensor["data"]
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        outputs.append(tensor)
    content = {"model_name": name, "model_version": version, "outputs": outputs}
    text = json.dumps({**content, "id": asked.id} if asked.id else content).encode()
    return text + tail, len(text) if any(in_binary for _, in_binary in asked.outputs) else None


def _tensor(name: str, predictions: Sequence[Prediction]) -> tuple[dict[str, Any], bytes]:
    """An output as JSON, and its data in binary."""
    count = len(predictions)
    if name == "label":
        labels = [prediction.label for prediction in predictions]
        raw = b"".join(struct.pack("<I", len(label)) + label.encode() for label in labels)
        return {"name": name, "datatype": "BYTES", "shape": [count], "data": labels}, raw
    shares = [share for prediction in predictions for share in prediction.probabilities.values()]
    columns = len(shares) // count
    return (
        {"name": name, "datatype": "FP32", "shape": [count, columns], "data": shares},
        struct.pack(f"<{len(shares)}f", *shares),
    )


def _bad(message: str) -> Refused:
    return Refused(400, "infer", message)


def _field(holder: Any, name: str, kind: type, default: Any = None) -> Any:
    value = holder.get(name, default) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise _bad(f"{name!r} is missing or not of type {kind.__name__}")
    return value


def _shape(tensor: Any) -> list[int]:
    shape = _field(tensor, "shape", list)
    if not 1 <= len(shape) <= 4 or not all(type(side) is int and 1 <= side <= 65_535 for side in shape):
        raise _bad("'shape' is not 1 to 4 whole numbers from 1 to 65535")
    return list(shape)


def _outputs(request: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    all_binary = bool(_field(request, "parameters", dict, {}).get("binary_data_output"))
    wanted = _field(request, "outputs", list, [])
    if len(wanted) > len(OUTPUTS):
        raise _bad(f"more outputs than {', '.join(OUTPUTS)}")
    names = [_field(output, "name", str) for output in wanted]
    if unknown := set(names) - set(OUTPUTS):
        raise _bad(f"output {min(unknown)[:40]!r} is unknown: there are {', '.join(OUTPUTS)}")
    binary = [bool(_field(output, "parameters", dict, {}).get("binary_data", all_binary)) for output in wanted]
    return tuple(zip(names, binary, strict=True)) or tuple((name, all_binary) for name in OUTPUTS)


def _binary(tensor: dict[str, Any], binary: bytes) -> bytes | None:
    """The tensor's bytes when it was sent in binary, None when it is in the JSON."""
    size = _field(tensor, "parameters", dict, {}).get("binary_data_size")
    if size is None and not binary:
        return None
    if type(size) is not int or size != len(binary):
        raise _bad(f"binary_data_size is {str(size)[:20]}, and {len(binary)} bytes follow the JSON")
    return binary


def _pixels(tensor: dict[str, Any], shape: list[int], raw: bytes | None) -> np.ndarray[Any, Any]:
    import numpy as np

    if len(shape) != 4 or shape[3] != 3:
        raise _bad("the shape of UINT8 is not [pictures, height, width, 3]")
    if raw is None:
        data = _field(tensor, "data", list)
        try:
            while data and isinstance(data[0], list):
                data = list(itertools.chain.from_iterable(data))
            raw = bytes(data)
        except (TypeError, ValueError) as error:
            raise _bad("'data' is not whole numbers from 0 to 255") from error
    if len(raw) != math.prod(shape):
        raise _bad(f"shape {shape} and {len(raw)} values do not fit")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _decoded(data: list[Any]) -> list[bytes]:
    try:
        return [base64.b64decode(text, validate=True) for text in data]
    except (TypeError, ValueError, binascii.Error) as error:
        raise _bad("'data' of BYTES is not base64: JSON can't carry a picture otherwise") from error


def _split(raw: bytes) -> list[bytes]:
    """Elements of a binary BYTES tensor: each has its length in four bytes, little-endian, before it."""
    found, position = [], 0
    while position + 4 <= len(raw):
        end = position + 4 + int.from_bytes(raw[position : position + 4], "little")
        found.append(raw[position + 4 : end])
        position = end
    if position != len(raw):
        raise _bad("the lengths in the binary BYTES tensor do not fit its size")
    return found
