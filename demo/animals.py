"""Draws the heads and bodies of cats and dogs with a pen: what tells the two apart is shape, never colour.

It must not pick colours by class: both animals get theirs from the same `Coat`, drawn in `demo.drawings`.
"""

from dataclasses import dataclass

from numpy.random import Generator

from demo.pen import Colour, Pen, Point, curve

DARK: Colour = (28, 24, 24)
PINK: Colour = (224, 134, 142)


@dataclass(frozen=True)
class Coat:
    """Colours and marks of one animal.

    `marks` is "plain", "stripes" or "patches"; `yaw` in -1..1 turns the face.
    """

    fur: Colour
    light: Colour
    shade: Colour
    eyes: Colour
    collar: Colour | None
    marks: str
    yaw: float


def cat(pen: Pen, coat: Coat, rng: Generator) -> None:
    """A cat: pointed ears, a wide short face, slit pupils, a small nose, whiskers, a long thin tail."""
    tail_side = rng.choice([-1.0, 1.0])
    tip = (tail_side * rng.uniform(1.3, 1.9), rng.uniform(0.2, 1.2))
    pen.line(curve((tail_side * 0.6, 2.9), (tail_side * 2.4, 2.7), tip), coat.shade, 0.2)
    _body(pen, coat, rng, width=0.85)
    wide, tall = rng.uniform(0.98, 1.12), rng.uniform(0.8, 0.9)
    height = rng.uniform(0.6, 0.85)
    folded = rng.random() < 0.08
    for side in (-1.0, 1.0):
        _pointed_ear(pen, coat, side, wide * 0.9, 0.2 if folded else height)
    pen.blob((0, 0), (wide, tall), coat.fur)
    _marks(pen, coat, rng)
    shift = coat.yaw * 0.25
    pen.blob((shift, 0.36), (0.42, 0.28), coat.light)
    for side in (-1.0, 1.0):
        _eye(pen, coat, (shift + side * 0.42, -0.12), (0.21, 0.17), slit=True)
    pen.fill([(shift - 0.11, 0.17), (shift + 0.11, 0.17), (shift, 0.29)], PINK)
    for side in (-1.0, 1.0):
        pen.line(curve((shift, 0.29), (shift + side * 0.06, 0.48), (shift + side * 0.24, 0.42)), DARK, 0.035)
    if rng.random() < 0.85:
        _whiskers(pen, coat, rng, shift)


def dog(pen: Pen, coat: Coat, rng: Generator) -> None:
    """A dog: hanging ears (some pricked), a long face with a big snout and nose, often a tongue."""
    tail_side = rng.choice([-1.0, 1.0])
    tip = (tail_side * rng.uniform(1.2, 1.5), rng.uniform(1.3, 1.8))
    pen.line(curve((tail_side * 0.6, 2.7), (tail_side * 1.2, 2.5), tip), coat.shade, 0.32)
    _body(pen, coat, rng, width=1.0)
    wide, tall = rng.uniform(0.78, 0.9), rng.uniform(0.92, 1.05)
    pricked = rng.random() < 0.15
    if pricked:
        for side in (-1.0, 1.0):
            _pointed_ear(pen, coat, side, wide * 0.9, rng.uniform(0.5, 0.7))
    pen.blob((0, 0), (wide, tall), coat.fur)
    _marks(pen, coat, rng)
    shift = coat.yaw * 0.3
    if not pricked:
        long, spread = rng.uniform(0.55, 0.75), rng.uniform(0.05, 0.35)
        for side in (-1.0, 1.0):
            pen.blob((side * (wide + 0.06), 0.12), (0.27, long), coat.shade, turn=-side * spread)
    snout = rng.uniform(0.42, 0.52)
    if rng.random() < 0.5:
        pen.blob((shift, 0.95), (0.17, 0.3), PINK)
    pen.blob((shift, 0.5), (snout, snout * 0.95), coat.light)
    for side in (-1.0, 1.0):
        _eye(pen, coat, (shift * 0.7 + side * 0.36, -0.25), (0.14, 0.15), slit=False)
    pen.blob((shift, 0.3), (0.23, 0.16), DARK)
    pen.line([(shift, 0.42), (shift, 0.66)], DARK, 0.045)
    for side in (-1.0, 1.0):
        pen.line(curve((shift, 0.66), (shift + side * 0.2, 0.84), (shift + side * 0.34, 0.62)), DARK, 0.045)


def _body(pen: Pen, coat: Coat, rng: Generator, width: float) -> None:
    pen.blob((rng.uniform(-0.3, 0.3), 2.1), (width * rng.uniform(0.9, 1.15), 1.5), coat.fur)
    pen.blob((0, 2.2), (width * 0.45, 1.0), coat.light)
    if coat.collar:
        pen.blob((0, 0.92), (0.62, 0.2), coat.collar)


def _pointed_ear(pen: Pen, coat: Coat, side: float, wide: float, height: float) -> None:
    outer, inner, base = side * wide * 1.02, side * wide * 0.22, -0.35
    tip = (side * wide * 0.98, base - 0.35 - height)
    pen.fill([(outer, base + 0.2), tip, (inner, base - 0.4)], coat.shade)
    middle = ((outer + inner) / 2, base)
    pen.fill([_towards(corner, middle, 0.35) for corner in ((outer, base), tip, (inner, base - 0.4))], PINK)


def _towards(point: Point, centre: Point, share: float) -> Point:
    return point[0] + (centre[0] - point[0]) * share, point[1] + (centre[1] - point[1]) * share


def _eye(pen: Pen, coat: Coat, centre: Point, radii: Point, slit: bool) -> None:
    pen.blob(centre, radii, coat.eyes)
    pen.blob(centre, (radii[0] * (0.25 if slit else 0.6), radii[1] * (0.9 if slit else 0.6)), DARK)
    pen.blob((centre[0] - 0.05, centre[1] - 0.05), (0.03, 0.03), (250, 250, 250))


def _whiskers(pen: Pen, coat: Coat, rng: Generator, shift: float) -> None:
    colour: Colour = (245, 245, 240) if sum(coat.fur) < 380 else (70, 62, 58)
    for side in (-1.0, 1.0):
        for lift in (-0.16, 0.0, 0.16):
            end = (shift + side * rng.uniform(1.1, 1.4), 0.34 + 1.8 * lift + rng.uniform(-0.05, 0.05))
            pen.line([(shift + side * 0.25, 0.36 + lift * 0.5), end], colour, 0.025)


def _marks(pen: Pen, coat: Coat, rng: Generator) -> None:
    if coat.marks == "stripes":
        for x in (-0.28, 0.0, 0.28):
            pen.line([(x, -0.72), (x * 0.8, -0.45)], coat.shade, 0.09)
        for side in (-1.0, 1.0):
            pen.line([(side * 0.82, 0.1), (side * 0.55, 0.16)], coat.shade, 0.08)
    elif coat.marks == "patches":
        pen.blob((rng.choice([-0.4, 0.4]), -0.18), (0.34, 0.4), coat.shade)
