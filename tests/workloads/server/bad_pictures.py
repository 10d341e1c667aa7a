"""Pictures that somebody sends to break a server: 60 made by hand, and any number of photographs with bytes changed.
They must be the same at each run."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.workloads.server.samples import encoded, picture

JPEG = picture(size=(640, 480))
PNG = picture("PNG", size=(160, 120))
OTHER_FORMATS = ("GIF", "WEBP", "TIFF", "BMP", "ICO", "PPM", "PCX", "SGI", "TGA", "JPEG2000", "PDF", "EPS")
NO_PICTURES = {
    "empty": b"",
    "one byte": b"\xff",
    "only the magic number of JPEG": b"\xff\xd8\xff",
    "only the magic number of PNG": b"\x89PNG\r\n\x1a\n",
    "text": b"hello",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "heic": b"\x00\x00\x00\x18ftypheic" + b"\x00" * 400,
    "avif": b"\x00\x00\x00\x18ftypavif" + b"\x00" * 400,
    "program": b"\x7fELF" + b"\x00" * 400,
    "gzip": b"\x1f\x8b\x08" + b"\x00" * 400,
    "zeros": b"\x00" * 1_000_000,
}


def hand_made() -> dict[str, bytes]:
    """By name."""
    made = {**NO_PICTURES, **_formats(), **_modes(), **_truncated(), **_bombs(), **_broken_chunks(), **_polyglots()}
    assert len(made) >= 60, len(made)
    return made


def mutated(count: int, seed: int = 0) -> Iterator[bytes]:
    """Photographs in several kinds with bytes overwritten, cut out, doubled or cut off."""
    random = np.random.default_rng(seed)
    originals = [
        JPEG,
        picture(size=(640, 480), progressive=True),
        picture(mode="CMYK", size=(200, 150)),
        PNG,
        picture("PNG", "RGBA", (160, 120)),
        picture("PNG", "P", (160, 120)),
    ]
    for number in range(count):
        data = bytearray(originals[number % len(originals)])
        for _ in range(int(random.integers(1, 12))):
            # Half of the changes hit the headers, where they do most.
            place = int(random.integers(0, len(data) if random.random() < 0.5 else min(700, len(data))))
            match random.integers(0, 4):
                case 0 | 1:
                    data[place] = int(random.integers(0, 256))
                case 2:
                    del data[place : place + int(random.integers(1, 30))]
                case _:
                    data[place:place] = data[place : place + int(random.integers(1, 300))]
        yield bytes(data[: int(random.integers(1, len(data)))] if random.random() < 0.1 else data)


def _formats() -> dict[str, bytes]:
    square = Image.new("RGB", (64, 64), (200, 100, 0))
    return {kind: encoded(square, kind) for kind in OTHER_FORMATS}


def _modes() -> dict[str, bytes]:
    gray16 = Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16)
    exif = Image.Exif()
    exif[0x0112] = 99
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in range(0, 250, 10)]
    return {
        "CMYK": picture(mode="CMYK"),
        "gray JPEG": picture(mode="L"),
        "gray of 16 bits": encoded(gray16, "PNG"),
        "gray with alpha": picture("PNG", "LA"),
        "palette": picture("PNG", "P"),
        "black and white": picture("PNG", "1"),
        "transparent": picture("PNG", "RGBA"),
        "animated": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "an orientation that is none": encoded(frames[0], "JPEG", exif=exif),
        "a broken EXIF block": encoded(frames[0], "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"),
        "a broken colour profile": encoded(frames[0], "JPEG", icc_profile=b"no profile" * 100),
        "one pixel": picture(size=(1, 1)),
    }


def _truncated() -> dict[str, bytes]:
    places = {"header": 30, "a tenth": 0, "half": 1, "the last bytes missing": 2}
    cut = {}
    for kind, data in (("JPEG", JPEG), ("PNG", PNG)):
        for (name, first), end in zip(places.items(), (30, len(data) // 10, len(data) // 2, -9), strict=True):
            cut[f"{kind}, {name} ({first})"] = data[:end]
    return cut


def _bombs() -> dict[str, bytes]:
    wide = bytearray(JPEG)
    frame = JPEG.index(b"\xff\xc0")
    wide[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    zeros = zlib.compress(b"\x00" * 100_000_000)
    return {
        "PNG of 400 megapixels": png(20_000, 20_000, zlib.compress(b"\x00")),
        "JPEG of 4,295 megapixels": bytes(wide),
        "PNG of 25 megapixels in 25 KB": encoded(Image.new("L", (5000, 5000)), "PNG"),
        "PNG one pixel high": encoded(Image.new("L", (1_000_000, 1)), "PNG"),
        "JPEG one pixel wide": encoded(Image.new("L", (1, 65_500)), "JPEG"),
        "PNG with 100 MB for one pixel": png(1, 1, zeros),
        "PNG text of 100 MB": png(8, 8, zlib.compress(b"\x00" * 200), chunk(b"zTXt", b"a\x00\x00" + zeros)),
        "PNG profile of 100 MB": png(8, 8, zlib.compress(b"\x00" * 200), chunk(b"iCCP", b"a\x00\x00" + zeros)),
        "JPEG of 3,000 scans": many_scans(3000),
    }


def many_scans(count: int) -> bytes:
    """A progressive JPEG of 25 megapixels whose last scan comes again and again: each goes over the whole picture."""
    data = encoded(Image.new("L", (5000, 5000), 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def _broken_chunks() -> dict[str, bytes]:
    body = zlib.compress(b"\x00" * 200)
    return {
        "PNG without size": png(0, 0, body),
        "PNG of an unknown colour type": png(8, 8, body, colour=5),
        "PNG with a wrong checksum": PNG[:40] + bytes([PNG[40] ^ 1]) + PNG[41:],
        "PNG chunk of 2 GB": PNG[:33] + b"\x7f\xff\xff\xffIDAT" + PNG[41:],
        "PNG without data": png(8, 8, b""),
    }


def _polyglots() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "hello")
    comment = b"<?php system($_GET['c']); ?>"
    return {
        "JPEG and ZIP": JPEG + archive.getvalue(),
        "PNG and HTML": PNG + NO_PICTURES["html"],
        "JPEG with a program in a comment": JPEG[:2]
        + b"\xff\xfe"
        + struct.pack(">H", len(comment) + 2)
        + comment
        + JPEG[2:],
        "PDF around a JPEG": b"%PDF-1.4\n" + JPEG,
        "GIF around a JPEG": b"GIF89a" + JPEG,
        "PNG's magic number before a JPEG": PNG[:8] + JPEG,
        "JPEG's magic number before a PNG": JPEG[:3] + PNG,
    }


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes, before: bytes = b"", colour: int = 2) -> bytes:
    """A PNG of these parts, whatever they are worth."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")
