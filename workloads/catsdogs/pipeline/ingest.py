"""Ingest: raw photographs to checked, deduplicated tar shards with a split, and a manifest that names every reject.
It must not resize for training, and must never drop a photograph without saying so."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catsdogs import key
from catsdogs.errors import data_error
from catsdogs.pipeline import duplicates, raw, splits
from catsdogs.pipeline.decoded import Kept, Squares
from catsdogs.pipeline.duplicates import Pair
from catsdogs.pipeline.photos import Photo, Reject, Seen, check, refused
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.shards import Shards
from catsdogs.pipeline.workspace import INGESTED, PREVIOUS, RAW_MANIFEST, SPLITS, read_json, read_parameters, write_json

# What decides how a version of the data comes out, beside the photographs: named in dvc.yaml too.
CODE = (
    "images",
    *(f"pipeline/{name}" for name in ("duplicates", "ingest", "photos", "preprocess", "shards", "splits")),
)
READERS = 16  # photographs asked for at once: a bucket answers each after tens of milliseconds
WINDOW = 32  # photographs read ahead, so that memory stays flat
PAIRS_SHOWN = 24


@dataclass
class Packed:
    """What came of the raw files in order of name: usable photographs, the shards that hold them, and rejects.

    `conflicts`: a photograph and the name of one with the same bytes in the other class.
    """

    shards: Shards
    photos: list[Photo] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    conflicts: list[tuple[Photo, str]] = field(default_factory=list)


def run() -> None:
    """The stage: data/raw-manifest.json, data/previous.json and the raw photographs to data/ingested."""
    listed, previous = read_json(RAW_MANIFEST), read_json(PREVIOUS)
    size = int(read_parameters()["imageSize"])
    version = data_version(listed["rawHash"], size, previous["inheritedFrom"])
    INGESTED.mkdir(parents=True, exist_ok=True)
    progress = Progress("ingest")
    torch.set_num_threads(1)  # one thread per picture, several pictures at once
    with Kept(size) as kept:
        packed = pack(listed["photos"], raw.reader(), size, kept, progress)
        manifest, alike = decide(packed, duplicates.thumbnails(kept.rows().pixels), previous["photos"])
        check_enough(manifest["photos"], manifest["rejected"])
        packed.shards.drop([reject["name"] for reject in manifest["rejected"]])
        manifest["lookalikes"] = keep_pictures(alike, packed.photos, kept.rows())
        kept.close(version)
    shutil.copyfile(PREVIOUS, INGESTED / PREVIOUS.name)
    names = {"dataVersion": version, "rawHash": listed["rawHash"], "inheritedFrom": previous["inheritedFrom"]}
    write_json(INGESTED / "manifest.json", {**names, **manifest}, indent=None)


def data_version(raw_hash: str, size: int, inherited_from: str | None) -> str:
    """12 hex digits that name one content: raw photographs, size of the squares, code, and what was inherited."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(raw_hash.encode())
    digest.update(json.dumps({"imageSize": size, "inheritedFrom": inherited_from}).encode())
    for source in CODE:
        digest.update((package / f"{source}.py").read_bytes())
    return digest.hexdigest()[: key.VERSION_LENGTH]


def pack(
    listed: Sequence[Sequence[Any]], read: Callable[[str], bytes], size: int, kept: Kept, progress: Progress
) -> Packed:
    """Check the photographs listed as name, size and checksum, in this order, and write good ones to tar shards.

    Reading and decoding run ahead in threads by at most WINDOW photographs, and no more are decoded at a time than
    there are cores: a large one takes 150 MB meanwhile. Raises StageError 67 for one that is not as listed.
    """
    packed, first = Packed(Shards(INGESTED)), dict[str, Photo]()
    verified, decoding = raw.verified(listed, read), threading.Semaphore(os.cpu_count() or 1)

    def look(row: Sequence[Any]) -> tuple[bytes, Seen | Reject]:
        if (reject := refused(row[0], row[1])) is not None:
            return b"", reject
        data = verified(row[0])
        with decoding:
            return data, check(row[0], data, size)

    with contextlib.closing(packed.shards):
        for done, (data, found) in enumerate(_ahead(listed, look), start=1):
            progress.report(done, len(listed))
            if isinstance(found, Reject):
                packed.rejects.append(found)
            elif (twin := first.setdefault(found.photo.sha256, found.photo)) is not found.photo:
                _repeated(packed, twin, found.photo)
            else:
                packed.photos.append(found.photo)
                packed.shards.add(found.photo.name, data)
                kept.add(found.photo.name, found.pixels)
    return packed


def _ahead(rows: Sequence[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
    waiting = iter(rows)
    with ThreadPoolExecutor(READERS) as pool:
        pending: list[Future[Any]] = [pool.submit(work, row) for row in islice(waiting, WINDOW)]
        while pending:
            yield pending.pop(0).result()
            pending.extend(pool.submit(work, row) for row in islice(waiting, 1))


def _repeated(packed: Packed, first: Photo, again: Photo) -> None:
    if again.label == first.label:
        packed.rejects.append(Reject(again.name, "Duplicate", f"same bytes as {first.name}"))
    else:
        detail = f"same bytes as {first.name}, which is in the other class"
        packed.rejects.append(Reject(again.name, "ConflictingLabels", detail))
        packed.conflicts.append((first, again.name))


def decide(packed: Packed, thumbs: duplicates.Array, old: dict[str, str]) -> tuple[dict[str, Any], list[Pair]]:
    """Photographs with their split, groups of look-alikes and rejects, as the manifest has them; and the look-alikes.

    `thumbs` are those of packed.photos, uint8 (N, 16, 16); `old` is what the version before decided: sha256 to split.
    """
    alike, hashes = duplicates.pairs(thumbs), duplicates.hashes(thumbs)
    rejects = duplicates.conflicts(packed.photos, alike, packed.conflicts)
    rejects += duplicates.copies(packed.photos, alike, old.keys(), {reject.name for reject in rejects})
    aside = {reject.name for reject in rejects}
    left = [index for index, photo in enumerate(packed.photos) if photo.name not in aside]
    assigned = splits.assign([packed.photos[index] for index in left], _among(alike, left), old)
    rows = [
        {
            **vars(packed.photos[index]),
            "split": assigned.splits[name],
            "shard": packed.shards.place[name][0],
            "phash": f"{hashes[index]:016x}",
        }
        for index in left
        if (name := packed.photos[index].name) in assigned.splits
    ]
    rejected = sorted([*packed.rejects, *rejects, *assigned.rejects], key=lambda reject: reject.name)
    manifest = {"photos": rows, "groups": assigned.groups, "rejected": [vars(reject) for reject in rejected]}
    return manifest, alike


def _among(alike: Sequence[Pair], left: Sequence[int]) -> list[Pair]:
    """The pairs of which both are left, numbered by their place among them."""
    place = {index: place for place, index in enumerate(left)}
    return [
        replace(pair, first=place[pair.first], second=place[pair.second])
        for pair in alike
        if pair.first in place and pair.second in place
    ]


def check_enough(photos: Sequence[dict[str, Any]], rejects: Sequence[dict[str, str]]) -> None:
    """Raise StageError 65 when a class is missing from the data or from one of its splits."""
    have = Counter((photo["split"], photo["label"]) for photo in photos)
    labels = {photo["label"] for photo in photos}
    aside = ""
    if rejects:
        aside = f" ({len(rejects)} set aside, the first: {rejects[0]['name']}: {rejects[0]['reason']})"
    for label, folder in zip(key.CLASSES, key.CLASS_FOLDERS, strict=True):
        if label not in labels:
            raise data_error(
                f"the raw folder holds no usable {label} photograph{aside}", f"put photographs into {folder}/"
            )
    for split in SPLITS:
        for label in key.CLASSES:
            if not have[split, label]:
                raise data_error(
                    f"too few photographs: of {len(photos)} none is a {label} in the {split} split{aside}",
                    "add photographs: each split needs one of each class, and look-alikes share a split",
                )


def keep_pictures(alike: Sequence[Pair], photos: Sequence[Photo], squares: Squares) -> list[dict[str, Any]]:
    """Write lookalikes.npy, uint8 (N, 2, 3, S, S), of the first pairs that are the same picture; returns the pairs."""
    pairs = [pair for pair in alike if pair.same][:PAIRS_SHOWN]
    names = [(photos[pair.first].name, photos[pair.second].name) for pair in pairs]
    shape = (len(pairs), 2, *squares.pixels.shape[1:])
    pictures = np.array([[squares[first], squares[second]] for first, second in names], np.uint8).reshape(shape)
    np.save(INGESTED / "lookalikes.npy", pictures)
    return [
        {"names": list(both), "distance": pair.distance, "correlation": pair.correlation}
        for both, pair in zip(names, pairs, strict=True)
    ]
