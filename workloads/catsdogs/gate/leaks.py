"""Whether a picture of the evaluation set, or a copy of it, was in what a model was trained or tuned on.
It must not judge by a hash alone: what only hashes alike is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catsdogs import images
from catsdogs.gate import evalset
from catsdogs.gate.evalset import Photo
from catsdogs.pipeline import duplicates

Array = np.ndarray[Any, Any]
Row = dict[str, Any]  # a photograph in the manifest of a data version


@dataclass(frozen=True)
class Leak:
    """How many pictures of the evaluation set a data version has outside its test split; one of them, in words."""

    count: int
    example: str


def find(bucket: Any, data_version: str, photos: Sequence[Photo], thumbs: Array, size: int) -> Leak | None:
    """The leak between an evaluation set and a data version, or None.

    `thumbs`, uint8 (N, 16, 16), are those of `photos`, decoded at `size` pixels. Validation counts as training: the
    epoch and the temperature were chosen by it. Raises evalset.MismatchError when the data version can't be read.
    """
    seen = [row for row in evalset.ingested(bucket, data_version)["photos"] if row["split"] != "test"]
    leaked = same_bytes(photos, seen)
    for index, row, how in copies(bucket, data_version, thumbs, seen, size):
        leaked.setdefault(index, f"{photos[index].name} looks like {row['name']} of its {row['split']} split ({how})")
    return Leak(len(leaked), leaked[min(leaked)]) if leaked else None


def same_bytes(photos: Sequence[Photo], seen: Sequence[Row]) -> dict[int, str]:
    """By the index of a photo, in words: which photograph has the same bytes."""
    by_digest = {row["sha256"]: row for row in seen}
    return {
        index: f"{photo.name} is {row['name']} of its {row['split']} split"
        for index, photo in enumerate(photos)
        if (row := by_digest.get(photo.sha256)) is not None
    }


def copies(
    bucket: Any, data_version: str, thumbs: Array, seen: Sequence[Row], size: int
) -> Iterator[tuple[int, Row, str]]:
    """Index, photograph and correlation of each copy, as it is or mirrored, by the limits of duplicates.py.

    The few photographs whose hashes are near are fetched from the version's shards and compared as thumbnails.
    """
    near: dict[str, list[int]] = {}
    for index, column in near_hashes(duplicates.hashes(thumbs), np.array([int(row["phash"], 16) for row in seen])):
        near.setdefault(seen[column]["name"], []).append(index)
    rows = {row["name"]: row for row in seen if row["name"] in near}
    for name, data in evalset.of_shards(bucket, data_version, sorted({row["shard"] for row in rows.values()})):
        if name in rows:
            other = duplicates.thumbnails(images.decode(data, size).unsqueeze(0).numpy())[0]
            for index in near[name]:
                found = max(duplicates.correlate(thumbs[index], turned) for turned in (other, other[:, ::-1]))
                if found >= duplicates.SAME_CORRELATION:
                    yield index, rows[name], f"correlation {found:.3f}"


def near_hashes(ours: Array, theirs: Array) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose perceptual hashes, uint64 (N,) and (M,), differ in few bits, as they are or mirrored."""
    theirs = theirs.astype(np.uint64)
    step = max(1, duplicates.PAIRS_AT_ONCE // max(len(theirs), 1))
    for begin in range(0, len(ours), step):
        rows = ours[begin : begin + step, None]
        plain = np.bitwise_count(rows ^ theirs[None])
        mirror = np.bitwise_count(rows ^ duplicates.mirrored(theirs)[None])
        for row, column in np.argwhere(np.minimum(plain, mirror) <= duplicates.SAME_DISTANCE):
            yield begin + int(row), int(column)
