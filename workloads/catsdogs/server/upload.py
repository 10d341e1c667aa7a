"""Takes the pictures out of a request: size, time and form are checked here, byte for byte.
It must not write to disk, must not parse more than a few parts, and must not decode the picture."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

from catsdogs.server.admission import Full, Room

RAW_TYPES = ("image/jpeg", "image/jpg", "image/png", "application/octet-stream")
MAX_PARTS = 64
MAX_PART_HEADERS = 8192
# Room for the multipart envelope around a picture of exactly the greatest size.
ENVELOPE = 65536
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_FIELD = re.compile(rb'^content-disposition:[^\r\n]*?[;\s]name="?([^";\r\n]*)', re.IGNORECASE | re.MULTILINE)
_FILE = re.compile(rb"^content-disposition:[^\r\n]*?[;\s]filename\*?=", re.IGNORECASE | re.MULTILINE)
_PICTURE = re.compile(rb"^content-type:\s*image/", re.IGNORECASE | re.MULTILINE)


class Refused(Exception):  # noqa: N818 - the request is refused; nothing went wrong in the program
    """An HTTP status and one line for the client; `reason` is the metric's label."""

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers or {}


@dataclass(frozen=True)
class Limits:
    """Bytes of all pictures of a request, seconds from its headers to its last byte, pictures in one form."""

    max_upload: int
    receive_seconds: float
    max_pictures: int = 1


@contextmanager
def _released(memory: Room, held: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        memory.give_back(sum(held))


async def pictures(request: Request, limits: Limits, memory: Room) -> list[bytes]:
    """The pictures' bytes, from multipart fields in their order, or one from a raw body.

    At least one and at most limits.max_pictures. Raises Refused or ClientDisconnect.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    _plain(request)
    if kind == "multipart/form-data":
        found = _BOUNDARY.search(content_type)
        if not found:
            raise Refused(400, "form", "the multipart Content-Type has no boundary")
        form = await _body(request, limits, limits.max_upload + ENVELOPE, memory)
        data = picture_parts(form, (found[1] or found[2]).encode("latin-1"), limits.max_pictures)
    elif kind in RAW_TYPES:
        data = [await _body(request, limits, limits.max_upload, memory)]
    else:
        raise Refused(415, "type", "send multipart/form-data with a field 'file', or an image/jpeg or image/png body")
    if sum(map(len, data)) > limits.max_upload:
        raise _too_large(limits)
    return data


async def body(request: Request, limits: Limits, memory: Room) -> bytes:
    """The whole body of a request that carries its pictures in base64. Raises Refused or ClientDisconnect."""
    _plain(request)
    return await _body(request, limits, limits.max_upload * 4 // 3 + ENVELOPE, memory)


def _plain(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "type", "send the picture without Content-Encoding")


async def _body(request: Request, limits: Limits, most: int, memory: Room) -> bytes:
    """The whole body, counted here because a Content-Length may lie or be absent."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise _too_large(limits)
    pieces: list[bytes] = []
    held: list[int] = []
    total = 0  # not sum(held) at each piece: whoever sends single bytes would have a core add them up
    with _released(memory, held):
        try:
            async with asyncio.timeout(limits.receive_seconds):
                async for piece in request.stream():
                    memory.take(len(piece))
                    held.append(len(piece))
                    total += len(piece)
                    if total > most:
                        raise _too_large(limits)
                    pieces.append(piece)
        except TimeoutError:
            text = f"the request was not complete after {limits.receive_seconds:g} s"
            raise Refused(408, "slow", text, {"Connection": "close"}) from None
        except Full:
            raise busy("memory", "too many uploads at the same time; try again") from None
        return b"".join(pieces)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, "large", f"the picture is larger than {limits.max_upload} bytes")


def busy(reason: str, message: str) -> Refused:
    return Refused(503, reason, message, {"Retry-After": "1"})


def picture_parts(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    """The parts that are pictures, whatever their fields are called: 1 to `most`. Raises Refused."""
    found = [content for headers, content in _parts(body, boundary) if _is_picture(headers)]
    if not found:
        raise Refused(400, "form", "the form holds no file: send the picture in the field 'file'")
    if len(found) > most:
        raise Refused(413, "form", f"the form holds {len(found)} pictures: send at most {most} in one request")
    return found


def _is_picture(headers: bytes) -> bool:
    name = _FIELD.search(headers)
    named = name is not None and name[1] in (b"file", b"image")
    return named or bool(_FILE.search(headers)) or bool(_PICTURE.search(headers))


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(headers, content) of each part; searching, not stepping, so that 10 MB cost a millisecond."""
    opening = b"--" + boundary
    position = 0 if body.startswith(opening) else body.find(b"\r\n" + opening, 0, ENVELOPE) + 2
    if position == 1:
        raise Refused(400, "form", "the body does not begin with the multipart boundary")
    for _ in range(MAX_PARTS):
        position += len(opening)
        if body.startswith(b"--", position):
            return
        line_end = body.find(b"\r\n", position, position + 256)
        if line_end < 0 or body[position:line_end].strip(b" \t"):
            break
        # The header block may be empty, so its end may be this very line's.
        blank = body.find(b"\r\n\r\n", line_end, line_end + MAX_PART_HEADERS)
        if blank < 0:
            break
        # The boundary's own line break may be the blank line's, when a part is empty.
        end = body.find(b"\r\n" + opening, blank + 2)
        if end < 0:
            break
        yield body[line_end + 2 : blank + 2], body[blank + 4 : end]
        position = end + 2
    raise Refused(400, "form", f"the multipart body is cut off, malformed or has over {MAX_PARTS} parts")
