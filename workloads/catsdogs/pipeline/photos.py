"""One raw photograph: is it usable, what it is, and what the network will see of it.
It must not read files or the bucket, and must not compare photographs with each other."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from catsdogs import images, key

MIN_SIDE = 32
MAX_BYTES = 32 * 2**20  # above any photograph of MAX_PIXELS; so a film called .jpg is never read into memory
SUFFIXES = (".jpg", ".jpeg", ".png")
BAD_NAME = "not Cat/NAME or Dog/NAME ending in .jpg, .jpeg or .png"
BAD_CHARACTERS = "a name with a backslash or control character; bytes that are not UTF-8 are shown as \\xNN"

Array = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Photo:
    """A usable photograph: `sha256` of its bytes; width and height in pixels as it is looked at (upright)."""

    name: str
    label: str
    sha256: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True)
class Reject:
    """A file set aside. `reason` is BadName, NotAPicture, Corrupt, TooSmall, TooLarge, or one of duplicates.py
    and splits.py; `detail` says it to a person."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Seen:
    """A photograph with its decoded square, uint8 (3, S, S)."""

    photo: Photo
    pixels: Array


def refused(name: str, size: int) -> Reject | None:
    """What the name ("Cat/1.jpg") and the size in bytes alone forbid, before anything is read."""
    path = PurePosixPath(name)
    if "\\" in name or not name.isprintable():
        return Reject(name, "BadName", BAD_CHARACTERS)
    if len(path.parts) < 2 or path.parts[0] not in key.CLASS_FOLDERS or path.suffix.lower() not in SUFFIXES:
        return Reject(name, "BadName", BAD_NAME)
    if size > MAX_BYTES:
        return Reject(name, "TooLarge", f"{size} bytes, at most {MAX_BYTES} are read")
    return None


def check(name: str, data: bytes, size: int) -> Seen | Reject:
    """Decide about one well-named photograph by decoding it, once, to the square of `size` pixels a side."""
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except Exception:
        if data.startswith((images.JPEG_MAGIC, images.PNG_MAGIC)):
            return Reject(name, "Corrupt", "the header can't be read: the file is damaged or cut off")
        return Reject(name, "NotAPicture", f"{len(data)} bytes that are neither JPEG nor PNG")
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        return Reject(name, "TooSmall", f"{width} x {height} px, at least {MIN_SIDE} x {MIN_SIDE} are needed")
    allowed = images.MAX_PIXELS["PNG" if image.format == "PNG" else "JPEG"]  # a JPEG may call itself MPO
    if width * height > allowed:
        return Reject(name, "TooLarge", f"{width} x {height} px, at most {allowed} are read")
    try:
        pixels = images.decode(data, size).numpy()
    except images.BadImage as error:
        return Reject(name, "Corrupt", str(error))
    if _lies_on_its_side(image):
        width, height = height, width
    label = key.CLASSES[key.CLASS_FOLDERS.index(PurePosixPath(name).parts[0])]
    photo = Photo(name, label, hashlib.sha256(data).hexdigest(), len(data), width, height)
    return Seen(photo, pixels)


def _lies_on_its_side(image: Image.Image) -> bool:
    """EXIF orientation 5 to 8: the camera was turned by a quarter."""
    if "exif" not in image.info:
        return False
    try:
        return bool(image.getexif().get(0x0112, 1) >= 5)
    except Exception:
        return False  # a damaged EXIF block; the decoder ignores it too
