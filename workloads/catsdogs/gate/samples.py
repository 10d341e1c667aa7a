"""What the candidate's pod is asked about: pictures made here, and golden ones of the bucket whose labels are known.
It must not ask, and must not import torch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from catsdogs import key
from catsdogs.pipeline import bucket as store

SIZES = ((64, 64), (320, 240), (240, 320), (640, 480), (1280, 960), (1, 1))  # width and height of generated pictures
GENERATED = 24
GOLDEN_EACH = 12  # pictures of a class that are asked about
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Picture:
    """A JPEG or PNG; `label` is "" when any answer is right."""

    name: str
    data: bytes
    label: str = ""


def generated() -> Iterator[Picture]:
    """GENERATED pictures of noise on a shade, RGB, half of them PNG; the same ones each time."""
    random = np.random.default_rng(0)
    for number in range(GENERATED):
        (width, height), kind = SIZES[number % len(SIZES)], ("JPEG", "PNG")[number // len(SIZES) % 2]
        shade, noise = random.integers(0, 200, 3), random.integers(0, 56, (height, width, 3))
        buffer = io.BytesIO()
        Image.fromarray((shade + noise).astype(np.uint8)).save(buffer, kind, compress_level=1)
        yield Picture(f"generated {width} x {height} {kind}", buffer.getvalue())


def golden(bucket: Any) -> list[Picture]:
    """The first GOLDEN_EACH pictures of each class below golden/ in the bucket; none when there is no such folder."""
    found = []
    with store.explained(key.uri(bucket.name, key.GOLDEN_PREFIX)):
        for label, folder in zip(key.CLASSES, key.CLASS_FOLDERS, strict=True):
            blobs = bucket.client.list_blobs(
                bucket,
                prefix=f"{key.GOLDEN_PREFIX}{folder}/",
                fields=store.NAMES,
                timeout=store.TIMEOUT,
                retry=store.retry(),
            )
            names = [blob.name for blob in blobs if PurePosixPath(blob.name).suffix.lower() in SUFFIXES]
            found += [(name, label) for name in sorted(names)[:GOLDEN_EACH]]
    return store.together(lambda item: Picture(item[0], store.download(bucket, item[0]), item[1]), found)
