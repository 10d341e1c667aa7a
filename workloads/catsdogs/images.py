"""From the bytes of one photograph to the square the network sees: the same code in training and serving.
It must not open files or sockets, and must not decode before format and size are known to be allowed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

# Above any common camera; a JPEG is shrunk while it is decoded, a PNG has to be unpacked whole.
MAX_PIXELS = {"JPEG": 50_000_000, "PNG": 25_000_000}
# A progressive JPEG is held whole as coefficients, 2 to 6 bytes a pixel, and each of its scans goes over all of them:
# without limits 10 MB of empty scans would keep a core busy for hours. Cameras and editors write 1 to 20 scans; the
# count includes those of previews.
MAX_PROGRESSIVE_PIXELS = 25_000_000
MAX_SCANS = 64
JPEG_MAGIC = b"\xff\xd8\xff"
SCAN = b"\xff\xda"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Pillow's own check only warns below twice its limit; ours, right after the header, is the strict one.
Image.MAX_IMAGE_PIXELS = None


class BadImage(ValueError):  # noqa: N818 - the picture is bad; nothing went wrong in the program
    """Bytes that are no photograph we can read; the message is one line for the person who sent it."""


def decode(data: bytes, size: int) -> torch.Tensor:
    """One JPEG or PNG as contiguous uint8 RGB (3, size, size) in 0..255, stretched to the square.

    EXIF orientation is applied, transparency is laid on white, 16 bits become 8. The resampling is
    bilinear with antialias on uint8. Raises BadImage, and nothing else, for bytes that can't be read.

    Pillow, not torchvision, decodes: torchvision deprecates its decoders (0.29), gives the same pixels,
    takes seconds to import, and can't shrink while decoding (12 megapixels: 19 ms here, 73 ms there).
    """
    kind = _kind(data)
    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
    except Exception as error:
        raise BadImage(f"the {kind} header can't be read: the file is damaged or cut off") from error
    with image:
        _check_cost(image, kind, data)
        try:
            # At least twice the wanted size stays, so that antialiasing has something to work on.
            image.draft(None, (2 * size, 2 * size))
            image.load()
            return _resize(_rgb(_upright(_shrunk(_eight_bit(image), 2 * size))), size)
        except Exception as error:
            # Decoders raise whatever they like (OSError, SyntaxError, struct.error, zlib.error...).
            raise BadImage(f"the {kind} data can't be decoded: {_one_line(error)}") from error


def _check_cost(image: Image.Image, kind: str, data: bytes) -> None:
    most = MAX_PROGRESSIVE_PIXELS if image.info.get("progressive") else MAX_PIXELS[kind]
    width, height = image.size
    if width * height > most:
        allowed = f"{most // 1_000_000} megapixels"
        raise BadImage(f"the picture is too large: {width} x {height} pixels, allowed are {allowed}")
    if kind == "JPEG" and data.count(SCAN) > MAX_SCANS:
        raise BadImage(f"the JPEG has {data.count(SCAN)} scans, allowed are {MAX_SCANS}: save it anew")


def _kind(data: bytes) -> str:
    if not data:
        raise BadImage("the picture is empty: send a JPEG or PNG file")
    if data.startswith(JPEG_MAGIC):
        return "JPEG"
    if data.startswith(PNG_MAGIC):
        return "PNG"
    raise BadImage("not a JPEG or PNG picture: send one of these two formats")


def from_pixels(pixels: np.ndarray[Any, Any], size: int) -> torch.Tensor:
    """uint8 RGB (H, W, 3) as decode() gives it for a PNG of these pixels."""
    return _resize(_rgb(_shrunk(Image.fromarray(pixels), 2 * size)), size)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit gray to 8 bits by its high byte (Pillow's convert would clip at 255); others as they are."""
    if not image.mode.startswith("I"):
        return image
    high = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    return Image.fromarray(high)


def _shrunk(image: Image.Image, least: int) -> Image.Image:
    """Large pictures brought near `least` pixels a side before any whole-size copy is made."""
    factor = min(image.width // least, image.height // least)
    if factor < 2 or image.mode in ("P", "1"):
        return image
    small = image.reduce(factor)
    small.info = image.info  # reduce keeps neither EXIF nor the transparent colour
    return small


def _upright(image: Image.Image) -> Image.Image:
    if not image.info.keys() & {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image  # a damaged EXIF block; the picture itself is fine


def _rgb(image: Image.Image) -> torch.Tensor:
    """uint8 (3, H, W); transparent pixels become white, whatever colour lies under them."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        image = white
    if image.mode != "RGB":
        image = image.convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _resize(pixels: torch.Tensor, size: int) -> torch.Tensor:
    resized = torch.nn.functional.interpolate(
        pixels.unsqueeze(0), size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized.squeeze(0).contiguous()


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
