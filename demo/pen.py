"""Draws filled curves on a picture in the turned, scaled coordinates of one animal's head.

It must not choose anything: shapes, colours and chance belong to the callers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Pen:
    """Local coordinates: the head's centre is (0, 0), its radius about 1, y grows downwards.

    `x`, `y` and `scale` are in pixels, `angle` in radians (positive turns clockwise).
    """

    canvas: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float
    angle: float

    def place(self, point: Point) -> Point:
        """The pixel position of a local point."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        px, py = point
        return self.x + self.scale * (px * cos - py * sin), self.y + self.scale * (px * sin + py * cos)

    def fill(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon given in local coordinates."""
        self.canvas.polygon([self.place(point) for point in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line through local points; `width` in local units, at least one pixel."""
        pixels = max(1, round(width * self.scale))
        self.canvas.line([self.place(point) for point in points], fill=colour, width=pixels, joint="curve")

    def blob(self, centre: Point, radii: Point, colour: Colour, turn: float = 0.0) -> None:
        """Fill an ellipse with the given radii, turned by `turn` radians about its centre."""
        self.fill(ellipse(centre, radii, turn), colour)


def ellipse(centre: Point, radii: Point, turn: float = 0.0, corners: int = 40) -> list[Point]:
    """An ellipse as a polygon of `corners` points."""
    cos, sin = math.cos(turn), math.sin(turn)
    points = []
    for step in range(corners):
        angle = 2 * math.pi * step / corners
        ex, ey = radii[0] * math.cos(angle), radii[1] * math.sin(angle)
        points.append((centre[0] + ex * cos - ey * sin, centre[1] + ex * sin + ey * cos))
    return points


def curve(start: Point, bend: Point, end: Point, steps: int = 16) -> list[Point]:
    """A quadratic Bézier curve from `start` to `end`, pulled towards `bend`."""
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        points.append((a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]))
    return points
