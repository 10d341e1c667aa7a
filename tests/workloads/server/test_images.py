"""Every kind of picture that people send becomes the same square; everything else is refused in one line."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from catsdogs import images
from tests.workloads.server.bad_pictures import many_scans
from tests.workloads.server.samples import encoded, picture


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "L", {}),
        ("PNG", "LA", {}),
        ("PNG", "1", {}),
        ("PNG", "I;16", {}),
    ],
)
@pytest.mark.parametrize("size", [(48, 40), (700, 400), (1, 1), (900, 33)])
def test_every_mode_becomes_the_same_square(
    kind: str, mode: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    if mode == "I;16":
        gray = np.asarray(Image.open(io.BytesIO(picture("PNG", "L", size)))).astype(np.uint16) * 257
        data = encoded(Image.fromarray(gray), "PNG")
    else:
        data = picture(kind, mode, size, **options)
    plain = picture("PNG", "L" if mode in ("L", "LA", "1", "I;16") else "RGB", size)

    square = images.decode(data, 32)

    assert square.dtype == torch.uint8
    assert square.shape == (3, 32, 32)
    assert square.is_contiguous()
    difference = (square.float() - images.decode(plain, 32).float()).abs().mean().item()
    # Dithering to black and white keeps the gray only where many pixels are averaged.
    assert difference < (130 if mode == "1" else 12), difference


def test_orientation_is_applied() -> None:
    image = Image.open(io.BytesIO(picture("PNG")))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    upright = encoded(image.transpose(Image.Transpose.ROTATE_270), "PNG")
    for kind in ("PNG", "JPEG"):
        turned = images.decode(encoded(image, kind, exif=exif), 32)
        difference = (turned.float() - images.decode(upright, 32).float()).abs().mean().item()
        assert difference < 3


def test_transparent_pixels_are_white() -> None:
    nothing = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert images.decode(encoded(nothing, "PNG"), 8).min().item() == 255


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return images.PNG_MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the picture is empty: send a JPEG or PNG file"),
        (b"hello", "not a JPEG or PNG picture: send one of these two formats"),
        (picture("GIF", "P"), "not a JPEG or PNG picture: send one of these two formats"),
        (picture("WEBP"), "not a JPEG or PNG picture: send one of these two formats"),
        (b"\xff\xd8\xff" + b"x" * 99, "the JPEG header can't be read: the file is damaged or cut off"),
        (images.PNG_MAGIC, "the PNG header can't be read: the file is damaged or cut off"),
        (many_scans(60), "the JPEG has 66 scans, allowed are 64: save it anew"),
        (
            picture("JPEG", "L", (6000, 4200), progressive=True),
            "the picture is too large: 6000 x 4200 pixels, allowed are 25 megapixels",
        ),
        (_png_header(20_000, 20_000), "the picture is too large: 20000 x 20000 pixels, allowed are 25 megapixels"),
    ],
)
def test_refusals(data: bytes, says: str) -> None:
    with pytest.raises(images.BadImage) as caught:
        images.decode(data, 32)
    assert str(caught.value) == says


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_off_picture_is_refused_in_one_line(kind: str) -> None:
    data = picture(kind, size=(400, 300))
    with pytest.raises(images.BadImage) as caught:
        images.decode(data[: len(data) // 2], 32)
    assert str(caught.value).startswith(f"the {kind} data can't be decoded: ")
    assert "\n" not in str(caught.value)


def test_mutated_pictures_are_decoded_or_refused() -> None:
    random = np.random.default_rng(0)
    outcomes = {"decoded": 0, "refused": 0}
    for kind in ("JPEG", "PNG"):
        original = np.frombuffer(picture(kind, size=(90, 70)), dtype=np.uint8)
        for _ in range(150):
            mutated = original.copy()
            places = random.integers(0, len(mutated), size=int(random.integers(1, 12)))
            mutated[places] = random.integers(0, 256, size=len(places))
            try:
                square = images.decode(mutated.tobytes(), 32)
            except images.BadImage:
                outcomes["refused"] += 1
            else:
                assert square.shape == (3, 32, 32)
                outcomes["decoded"] += 1
    assert min(outcomes.values()) > 20, outcomes
