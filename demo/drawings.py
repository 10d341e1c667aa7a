"""Draws a labelled set of cats and dogs for machines that cannot reach the real photographs.

Colours, backgrounds, noise and clutter come from one distribution for both classes, so that only shape tells
them apart. It must not pass for photographs: every file says in a JPEG comment that it is a drawing.
"""

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from demo.animals import Coat, cat, dog
from demo.pen import Colour, Pen

COMMENT = "drawing: made by demo/drawings.py, not a photograph"
OVERSAMPLE = 2
# Coats that cats and dogs share, as (hue, saturation, value): black, grey, white, ginger, brown, cream.
FURS = (
    (0.08, 0.10, 0.22),
    (0.58, 0.06, 0.55),
    (0.10, 0.05, 0.93),
    (0.075, 0.65, 0.85),
    (0.06, 0.55, 0.42),
    (0.10, 0.28, 0.88),
)
ANIMALS: tuple[tuple[str, Callable[[Pen, Coat, Generator], None]], ...] = (("Cat", cat), ("Dog", dog))


def draw(folder: Path, count: int, seed: int = 1, told: Callable[[int], None] = lambda _done: None) -> None:
    """Write `count` JPEG files, half each, to folder/Cat/N.jpg and folder/Dog/N.jpg (the odd one is a cat).

    The same seed gives the same bytes, and a larger count begins with the smaller one's files.
    `told` is called with the number of files written so far. Raises ValueError for count < 2.
    """
    if count < 2:
        raise ValueError(f"a set needs at least 2 drawings (one of each class), not {count}")
    done = 0
    for label, (name, animal) in enumerate(ANIMALS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range((count + 1 - label) // 2):
            rng = np.random.default_rng([seed, label, index])
            picture = drawing(animal, rng)
            quality = int(rng.integers(78, 95))
            picture.save(folder / name / f"{index}.jpg", quality=quality, comment=COMMENT.encode())
            done += 1
            told(done)


def drawing(animal: Callable[[Pen, Coat, Generator], None], rng: Generator) -> Image.Image:
    """One RGB picture, 150 to 240 pixels a side, of an animal in front of a cluttered background."""
    width, height = (int(side) for side in rng.integers(150, 240, size=2))
    picture = _background(rng, width, height).resize((width * OVERSAMPLE, height * OVERSAMPLE))
    canvas = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 5))):
        _clutter(canvas, rng, picture.size)
    head = min(picture.size) * rng.uniform(0.2, 0.33)
    pen = Pen(
        canvas,
        x=picture.width * rng.uniform(0.38, 0.62),
        y=picture.height * rng.uniform(0.38, 0.56),
        scale=head,
        angle=float(rng.normal(0, 0.2)),
    )
    animal(pen, _coat(rng), rng)
    if rng.random() < 0.25:
        _clutter(canvas, rng, picture.size, at_edge=True)
    picture = picture.resize((width, height), Image.Resampling.BOX)
    return _expose(picture, rng)


def _coat(rng: Generator) -> Coat:
    hue, saturation, value = FURS[int(rng.integers(len(FURS)))]
    hue += rng.normal(0, 0.015)
    value = float(np.clip(value + rng.normal(0, 0.06), 0.12, 0.97))
    return Coat(
        fur=_rgb(hue, saturation, value),
        light=_rgb(hue, saturation * 0.5, min(1.0, value + rng.uniform(0.08, 0.3))),
        shade=_rgb(hue, min(1.0, saturation * 1.2), value * rng.uniform(0.55, 0.85)),
        eyes=_rgb(rng.uniform(0.07, 0.6), rng.uniform(0.3, 0.8), rng.uniform(0.45, 0.95)),
        collar=_rgb(rng.random(), 0.8, 0.75) if rng.random() < 0.4 else None,
        marks=str(rng.choice(["plain", "stripes", "patches"])),
        yaw=float(rng.uniform(-1, 1)),
    )


def _background(rng: Generator, width: int, height: int) -> Image.Image:
    """A gradient between two colours, in a random direction, with a coarse texture."""
    ends = np.array([_anything(rng), _anything(rng)], dtype=np.float64)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.cos(angle) * x / width + np.sin(angle) * y / height
    ramp = (ramp - ramp.min()) / (np.ptp(ramp) or 1.0)
    pixels = ends[0] + (ends[1] - ends[0]) * ramp[..., None]
    grain = int(rng.integers(4, 24))
    texture = Image.fromarray(rng.integers(0, 255, size=(grain, grain), dtype=np.uint8))
    coarse = np.asarray(texture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    pixels += (coarse[..., None] - 127) * rng.uniform(0, 0.35)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _clutter(canvas: ImageDraw.ImageDraw, rng: Generator, size: tuple[int, int], at_edge: bool = False) -> None:
    """A ball, a box, a pointed leaf or a stick: shapes that ears and snouts can be taken for."""
    x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
    if at_edge:
        x, y = rng.choice([0.0, float(size[0])]), rng.uniform(0.6, 1.0) * size[1]
    pen = Pen(canvas, x, y, min(size) * rng.uniform(0.06, 0.17), rng.uniform(0, 2 * np.pi))
    colour = _anything(rng)
    kind = int(rng.integers(4))
    if kind == 0:
        pen.blob((0, 0), (1, rng.uniform(0.6, 1)), colour)
    elif kind == 1:
        pen.fill([(-1, -0.7), (1, -0.7), (1, 0.7), (-1, 0.7)], colour)
    elif kind == 2:
        pen.fill([(-0.8, 1), (0, -1.2), (0.8, 1)], colour)
    else:
        pen.line([(-2, 0), (2, rng.uniform(-0.5, 0.5))], colour, 0.2)


def _expose(picture: Image.Image, rng: Generator) -> Image.Image:
    """Blur, light, colour cast, mirror and noise, as a camera would add them."""
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    pixels = np.asarray(picture, dtype=np.float64)
    pixels = (pixels * rng.uniform(0.65, 1.15) + rng.uniform(-12, 18)) * rng.uniform(0.9, 1.1, size=3)
    pixels += rng.normal(0, rng.uniform(2, 14), size=pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _anything(rng: Generator) -> Colour:
    return _rgb(rng.random(), rng.uniform(0.05, 0.7), rng.uniform(0.2, 0.95))


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
