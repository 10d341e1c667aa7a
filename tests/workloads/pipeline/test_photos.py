"""What one file is: a photograph, or set aside with the reason a person needs."""

from __future__ import annotations

import hashlib
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from catsdogs import images, key
from catsdogs.pipeline import photos
from catsdogs.pipeline.photos import Photo, Reject, Seen
from tests.workloads.pipeline.conftest import encoded, picture, scene

SIZE = 32


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises a picture of this size; nobody needs its pixels to refuse it."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunk = b"IHDR" + header
    data = len(header).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    body = b"IDAT" + zlib.compress(b"")
    pixels = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + data + pixels


def test_a_good_photograph_is_seen_as_the_server_sees_it() -> None:
    data = picture(64, 48)
    seen = photos.check("Dog/a.JPG", data, SIZE)

    assert isinstance(seen, Seen)
    assert seen.photo == Photo("Dog/a.JPG", "dog", hashlib.sha256(data).hexdigest(), len(data), 64, 48)
    assert np.array_equal(seen.pixels, images.decode(data, SIZE).numpy())


def sixteen_bits() -> bytes:
    shades = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    return encoded(Image.fromarray(shades), "PNG")


def animated() -> bytes:
    return encoded(scene(1), "PNG", save_all=True, append_images=[scene(2), scene(3)])


@pytest.mark.parametrize(
    "data",
    [
        *(picture(kind=kind, mode=mode) for kind in ("JPEG", "PNG") for mode in ("L", "RGB")),
        encoded(scene(1).convert("CMYK")),
        encoded(scene(1).convert("P"), "PNG"),
        encoded(scene(1).convert("RGBA"), "PNG"),
        encoded(scene(1), progressive=True),
        sixteen_bits(),
        animated(),
    ],
    ids=["gray", "colour", "gray PNG", "colour PNG", "CMYK", "palette", "RGBA", "progressive", "16-bit", "animated"],
)
def test_every_kind_of_jpeg_and_png_is_accepted(data: bytes) -> None:
    seen = photos.check("Cat/a.png", data, SIZE)

    assert isinstance(seen, Seen)
    assert seen.pixels.std() > 10, "a picture that is all of one shade was not read right"


def test_of_an_animated_picture_the_first_frame_counts() -> None:
    seen = photos.check("Cat/a.png", animated(), SIZE)

    assert isinstance(seen, Seen)
    assert np.array_equal(seen.pixels, images.decode(encoded(scene(1), "PNG"), SIZE).numpy())


def test_a_turned_camera_gives_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = photos.check("Cat/a.png", encoded(scene(1, 96, 64), "PNG", exif=exif), SIZE)
    upright = scene(1, 96, 64).transpose(Image.Transpose.ROTATE_270)

    assert isinstance(seen, Seen)
    assert (seen.photo.width, seen.photo.height) == (64, 96)
    assert np.array_equal(seen.pixels, images.decode(encoded(upright, "PNG"), SIZE).numpy())


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "NotAPicture", "0 bytes that are neither JPEG nor PNG"),
        (b"text", "NotAPicture", "4 bytes that are neither JPEG nor PNG"),
        (images.PNG_MAGIC, "Corrupt", "the header can't be read: the file is damaged or cut off"),
        (
            encoded(scene(1), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"),
            "Corrupt",
            "the header can't be read: the file is damaged or cut off",
        ),
        (picture(kind="GIF"), "NotAPicture", f"{len(picture(kind='GIF'))} bytes that are neither JPEG nor PNG"),
        (picture(31, 80), "TooSmall", "31 x 80 px, at least 32 x 32 are needed"),
        (png_of_size(5001, 5000), "TooLarge", "5001 x 5000 px, at most 25000000 are read"),
        (png_of_size(30000, 30000), "TooLarge", "30000 x 30000 px, at most 25000000 are read"),
    ],
    ids=["empty", "text", "no header", "EXIF", "GIF", "small", "large", "bomb"],
)
def test_what_cannot_be_used_is_set_aside_with_its_reason(data: bytes, reason: str, detail: str) -> None:
    assert photos.check("Cat/1.jpg", data, SIZE) == Reject("Cat/1.jpg", reason, detail)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_off_file_is_corrupt(kind: str) -> None:
    data = picture(200, 200, kind=kind)
    found = photos.check("Cat/1.jpg", data[: len(data) // 2], SIZE)

    assert isinstance(found, Reject)
    assert (found.reason, found.detail.split(":")[0]) == ("Corrupt", f"the {kind} data can't be decoded")


def test_the_smallest_side_is_still_accepted() -> None:
    assert isinstance(photos.check("Cat/1.jpg", picture(32, 32), SIZE), Seen)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("Cat/1.jpg", photos.MAX_BYTES, None),
        ("Dog/more/Müller-猫.JPEG", 1, None),
        ("Cat/1.jpg", photos.MAX_BYTES + 1, ("TooLarge", "33554433 bytes, at most 33554432 are read")),
        ("Bird/1.jpg", 1, ("BadName", photos.BAD_NAME)),
        ("cat/1.jpg", 1, ("BadName", photos.BAD_NAME)),
        ("Cat/Thumbs.db", 1, ("BadName", photos.BAD_NAME)),
        ("Cat.jpg", 1, ("BadName", photos.BAD_NAME)),
        ("readme.txt", 1, ("BadName", photos.BAD_NAME)),
        (r"Cat/\xff.jpg", 1, ("BadName", photos.BAD_CHARACTERS)),
        ("Cat/a\nb.jpg", 1, ("BadName", photos.BAD_CHARACTERS)),
    ],
)
def test_name_and_size_can_refuse_a_file_unread(name: str, size: int, expected: tuple[str, str] | None) -> None:
    assert photos.refused(name, size) == (Reject(name, *expected) if expected else None)


def test_every_class_folder_gives_its_label() -> None:
    found = [photos.check(f"{folder}/1.png", picture(), SIZE) for folder in key.CLASS_FOLDERS]

    assert [one.photo.label for one in found if isinstance(one, Seen)] == list(key.CLASSES)


def test_a_picture_from_a_film_of_jpegs_is_a_photograph() -> None:
    file = io.BytesIO()
    scene(1).save(file, "MPO", save_all=True, append_images=[scene(2)])

    assert isinstance(photos.check("Cat/1.jpg", file.getvalue(), SIZE), Seen)
