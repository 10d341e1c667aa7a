"""Which photographs are the same picture, or so alike that one would tell of the other: by perceptual hash, then
by correlation. It must not read files or decide about splits, and must come out the same on every machine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catsdogs.pipeline.photos import Photo, Reject

# Measured on 2,000 photographs (2 million pairs) and on altered copies of 400 of them. Of pairs that only look
# alike the nearest had distance 9 (mirrored; 11 as they are), and up to distance 14 none a correlation above 0.79.
# Copies encoded anew at quality 15, at a quarter of the size or in gray stayed within distance 6 and above 0.98.
SAME_DISTANCE, SAME_CORRELATION = 8, 0.96
# Crops by 4 % a side and turns by 2 degrees are within; so are photographs of a burst.
ALIKE_DISTANCE, ALIKE_CORRELATION = 14, 0.80
THUMB = 16  # pixels a side
LOW = 8  # frequencies kept a side: 8 x 8 without the mean are 63 bits
SQUARES_AT_ONCE = 64
PAIRS_AT_ONCE = 2**21  # hashes compared in one step, about 40 MB whatever the number of photographs

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """Two photographs by index, `first` < `second`: differing bits of 63 and correlation (-1 to 1) of thumbnails.

    `same` when one is a copy of the other: encoded, sized or lit differently; not when mirrored.
    """

    first: int
    second: int
    distance: int
    correlation: float
    same: bool


def thumbnails(squares: Array) -> Array:
    """Gray thumbnails, uint8 (N, 16, 16), of decoded squares, uint8 (N, 3, S, S) with S >= 16, a few at a time.

    Luma as ITU-R BT.601 has it, averaged over 16 x 16 fields, in integers.
    """
    side = squares.shape[2]
    edges = np.arange(THUMB + 1) * side // THUMB
    areas = np.outer(np.diff(edges), np.diff(edges))
    thumbs = np.empty((len(squares), THUMB, THUMB), np.uint8)
    for begin in range(0, len(squares), SQUARES_AT_ONCE):
        part = squares[begin : begin + SQUARES_AT_ONCE].astype(np.uint32)
        gray = 77 * part[:, 0] + 150 * part[:, 1] + 29 * part[:, 2]
        fields = np.add.reduceat(np.add.reduceat(gray, edges[:-1], axis=1), edges[:-1], axis=2)
        thumbs[begin : begin + SQUARES_AT_ONCE] = fields // (256 * areas)
    return thumbs


def hashes(thumbs: Array) -> Array:
    """Perceptual hashes, uint64 (N,), of gray thumbnails, uint8 (N, 16, 16).

    The signs of the lowest 8 x 8 coefficients of the cosine transform, the mean left out (pHash, Zauner 2010, with
    the sign for the median). In integers, so that no rounding of a machine's own flips a bit.
    """
    steps = np.arange(THUMB)
    basis = np.round(1000 * np.cos(np.pi * (2 * steps + 1) * np.arange(LOW)[:, None] / (2 * THUMB))).astype(np.int64)
    waves = basis @ thumbs.astype(np.int64) @ basis.T
    bits = waves.reshape(len(thumbs), LOW * LOW) > 0
    bits[:, 0] = False
    packed: Array = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return packed


def mirrored(hashed: Array) -> Array:
    """The hashes of the same pictures mirrored left to right: waves that are odd in x change their sign."""
    odd = np.tile(np.arange(LOW) % 2 == 1, LOW)
    flipped: Array = hashed ^ np.packbits(odd).view(">u8")[0].astype(np.uint64)
    return flipped


def pairs(thumbs: Array) -> list[Pair]:
    """All pairs that are alike, as they are or mirrored, nearest first; `thumbs` is uint8 (N, 16, 16)."""
    hashed = hashes(thumbs)
    turned = mirrored(hashed)
    found: list[Pair] = []
    for begin in range(0, len(hashed), step := max(1, PAIRS_AT_ONCE // max(len(hashed), 1))):
        rows = hashed[begin : begin + step, None]
        plain = np.bitwise_count(rows ^ hashed[None, begin:])
        mirror = np.bitwise_count(rows ^ turned[None, begin:])
        for row, column in np.argwhere(np.minimum(plain, mirror) <= ALIKE_DISTANCE):
            if row < column:
                distances = int(plain[row, column]), int(mirror[row, column])
                found.extend(_confirmed(thumbs, begin + int(row), begin + int(column), distances))
    return sorted(found, key=lambda pair: (pair.distance, -pair.correlation, pair.first, pair.second))


def _confirmed(thumbs: Array, first: int, second: int, distances: tuple[int, int]) -> list[Pair]:
    """The pair, if the thumbnails correlate too; of as it is and mirrored, the nearer."""
    alike = []
    for distance, other, may_be_same in zip(
        distances, (thumbs[second], thumbs[second][:, ::-1]), (True, False), strict=True
    ):
        correlation = round(correlate(thumbs[first], other), 4)
        if distance <= ALIKE_DISTANCE and correlation >= ALIKE_CORRELATION:
            same = may_be_same and distance <= SAME_DISTANCE and correlation >= SAME_CORRELATION
            alike.append(Pair(first, second, distance, correlation, same))
    return sorted(alike, key=lambda pair: (not pair.same, pair.distance))[:1]


def correlate(first: Array, second: Array) -> float:
    """Pearson's correlation of two thumbnails; 0 when one of them is all of one shade."""
    a, b = (part.astype(np.int64).ravel() for part in (first, second))
    a, b = a * a.size - a.sum(), b * b.size - b.sum()
    scale = float(a @ a) * float(b @ b)
    return float(a @ b) / scale**0.5 if scale else 0.0


def conflicts(photos: Sequence[Photo], alike: Sequence[Pair], exact: Sequence[tuple[Photo, str]]) -> list[Reject]:
    """Pictures that lie in both classes: every one of them is set aside, since nobody knows which label is right.

    `exact` holds (a photograph whose bytes came again under another label, the name there).
    """
    reasons = {photo.name: f"same bytes as {other}, which is in the other class" for photo, other in exact}
    for pair in alike:
        first, second = photos[pair.first], photos[pair.second]
        if pair.same and (first.label != second.label or not reasons.keys().isdisjoint({first.name, second.name})):
            reasons.setdefault(first.name, f"{_looks_like(pair, second)}, which is in the other class")
            reasons.setdefault(second.name, f"{_looks_like(pair, first)}, which is in the other class")
    return [Reject(name, "ConflictingLabels", detail) for name, detail in reasons.items()]


def copies(
    photos: Sequence[Photo], alike: Sequence[Pair], old: Collection[str], without: Collection[str]
) -> list[Reject]:
    """Of pictures that are the same, all but one: old ones (by sha256) stay, else the larger, else the first.

    `without` are names set aside before.
    """
    same: dict[int, list[tuple[int, Pair]]] = {}
    for pair in alike:
        if pair.same:
            same.setdefault(pair.first, []).append((pair.second, pair))
            same.setdefault(pair.second, []).append((pair.first, pair))

    def rank(index: int) -> tuple[bool, int, str]:
        photo = photos[index]
        return photo.sha256 not in old, -photo.width * photo.height, photo.name

    kept: set[int] = set()
    rejects = []
    for index in sorted((index for index in same if photos[index].name not in without), key=rank):
        first = next(((other, pair) for other, pair in same[index] if other in kept), None)
        if first is None or photos[index].sha256 in old:
            kept.add(index)
        else:
            rejects.append(Reject(photos[index].name, "NearDuplicate", _looks_like(first[1], photos[first[0]])))
    return rejects


def _looks_like(pair: Pair, other: Photo) -> str:
    return f"same picture as {other.name} (hash distance {pair.distance} of 63, correlation {pair.correlation:.3f})"
