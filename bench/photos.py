"""Photographs to measure with: a folder of real ones, or drawings when there is none, multiplied where more are asked.
It must not measure anything."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from catsdogs import key
from demo.drawings import draw


def parser(text: str) -> argparse.ArgumentParser:
    """The options that all these benchmarks share."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--data", type=Path, help="folder with Cat/ and Dog/; without it drawings are made")
    options.add_argument("--rounds", type=int, default=5, help="rounds of all sides, one after the other")
    return options


def folder(data: Path | None, count: int, work: Path) -> Path:
    """A folder with Cat/ and Dog/ of `count` different photographs.

    `data` itself when it holds that many; else its own and parts of them, each of a size, so that no two are alike
    to the perceptual hash. Without `data`, drawings.
    """
    if data is None:
        draw(work / "drawings", min(count, 2000))
        data = work / "drawings"
    given = {name: sorted((data / name).iterdir()) for name in key.CLASS_FOLDERS}
    if count == sum(map(len, given.values())):
        return data
    target = work / f"photographs-{count}"
    for name, files in given.items():
        (target / name).mkdir(parents=True)
        for number in range(count // 2):
            place, turn = target / name / f"{number}.jpg", number // len(files)
            if turn:
                place.write_bytes(_altered(files[number % len(files)], turn))
            else:
                place.symlink_to(files[number].absolute())
    return target


def _altered(file: Path, turn: int) -> bytes:
    """A part of the picture, two thirds a side, from one of nine places and turned: another one for each `turn`."""
    image = Image.open(file)
    image.draft("RGB", (image.width // 2, image.height // 2))
    width, height = image.size
    x, y = list(itertools.product((0.0, 0.17, 0.34), repeat=2))[turn % 9]
    box = (int(x * width), int(y * height), int((x + 0.66) * width), int((y + 0.66) * height))
    out = io.BytesIO()
    part = image.convert("RGB").crop(box).resize((max(64, width), max(64, height)))
    part.transpose(list(Image.Transpose)[turn // 9 % 7]).save(out, "JPEG", quality=90)
    return out.getvalue()


@contextlib.contextmanager
def inside(place: Path) -> Iterator[None]:
    """`place` as the current folder."""
    before = Path.cwd()
    place.mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
