"""Frozen evaluation sets: evalsets/DIGEST/ holds pictures with their labels, named by what is in it.
It must not change a set that is there, and must not import torch.

manifest.json lists name, label and SHA-256 of each picture, and DIGEST is the SHA-256 of its bytes: whoever names a
digest gets those very pictures or an error. Neither image size nor data version is in it, so the same pictures have
the same digest, whatever was trained on the others. The pictures are kept as they came, since models differ in size.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError
from catsdogs.gate import archive
from catsdogs.pipeline import bucket as store

MANIFEST, PICTURES = "manifest.json", "pictures.tar"
FREEZE = "freeze another: catsdogs evalset VERSION"
DATA_VERSION = re.compile(f"[0-9a-f]{{{key.VERSION_LENGTH}}}")


class MismatchError(StageError):
    """The set is not there, not what its digest says, or does not fit (exit 65)."""

    def __init__(self, message: str, hint: str = FREEZE) -> None:
        super().__init__(Exit.DATA_ERROR, message, hint)


@dataclass(frozen=True)
class Photo:
    """One picture of a set: its name ("Cat/1.jpg"), its class and the SHA-256 of its bytes."""

    name: str
    label: str
    sha256: str


@dataclass(frozen=True)
class EvalSet:
    """A verified manifest: photos in order of name, at least one of each class."""

    digest: str
    photos: tuple[Photo, ...]


def prefix(digest: str) -> str:
    """Where a set lies."""
    return f"{key.EVALSETS_PREFIX}{digest}/"


def canonical(photos: Sequence[Photo]) -> bytes:
    """The manifest's bytes: JSON without spaces, keys and photos sorted."""
    rows = [vars(photo) for photo in sorted(photos, key=lambda photo: photo.name)]
    content = {"classes": list(key.CLASSES), "photos": rows}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def read(bucket: Any, digest: str) -> EvalSet:
    """The set `digest`. Raises MismatchError when it is not there or its manifest is not what the digest says."""
    where = key.uri(bucket.name, prefix(digest))
    manifest = store.download_if_there(bucket, prefix(digest) + MANIFEST)
    if manifest is None:
        raise MismatchError(f"{where} is not there", "catsdogs evalset --list shows the sets of the bucket")
    found = hashlib.sha256(manifest).hexdigest()
    if found != digest:
        raise MismatchError(f"{where}{MANIFEST} has the SHA-256 {found[:12]}, not {digest[:12]}")
    return EvalSet(digest, parsed(manifest, where))


def parsed(manifest: bytes, where: str) -> tuple[Photo, ...]:
    """The photos of a manifest. Raises MismatchError when its classes are not key.CLASSES, or one has no picture."""
    try:
        content = json.loads(manifest)
        classes = tuple(content["classes"])
        photos = tuple(Photo(str(row["name"]), str(row["label"]), str(row["sha256"])) for row in content["photos"])
    except (ValueError, KeyError, TypeError) as error:
        raise MismatchError(f"{where}{MANIFEST} is no list of pictures: {error!r}"[:300]) from None
    if classes != key.CLASSES:
        raise MismatchError(
            f"{where} has the classes {', '.join(map(str, classes))}, the models {', '.join(key.CLASSES)}"
        )
    complete(photos, where)
    return photos


def complete(photos: Sequence[Photo], where: str) -> None:
    """Raise MismatchError when a class has no picture, another one is there, or two pictures share a name."""
    counts = Counter(photo.label for photo in photos)
    if missing := [label for label in key.CLASSES if not counts[label]]:
        raise MismatchError(f"{where} has no {missing[0]} among its {len(photos)} pictures")
    if len(counts) > len(key.CLASSES) or len({photo.name for photo in photos}) < len(photos):
        raise MismatchError(f"{where} has pictures of other classes, or two of one name")


def pictures(bucket: Any, evaluation: EvalSet) -> Iterator[tuple[Photo, bytes]]:
    """Each photo with its bytes, in the order of the archive, one in memory at a time.

    Raises MismatchError for one that is missing, is there twice, or has other bytes than the manifest says.
    """
    where = key.uri(bucket.name, prefix(evaluation.digest) + PICTURES)
    waiting = {photo.name: photo for photo in evaluation.photos}
    try:
        for name, data in archive.entries(bucket, prefix(evaluation.digest) + PICTURES):
            photo = waiting.pop(name, None)
            if photo is None or hashlib.sha256(data).hexdigest() != photo.sha256:
                raise MismatchError(f"{where}: {name} is not the picture that the manifest names")
            yield photo, data
    except FileNotFoundError:
        raise MismatchError(f"{where} is not there") from None
    except tarfile.TarError as error:
        raise MismatchError(f"{where} is damaged: {error}") from None
    if waiting:
        raise MismatchError(f"{where}: {len(waiting)} pictures are missing, the first is {min(waiting)}")


def freeze(bucket: Any, data_version: str) -> EvalSet:
    """Make the test split of a data version a set, unless it is one; returns it.

    The manifest is written last, and both objects only where there are none: two that freeze the same split write
    the same bytes, and one that was killed is finished by the next. Raises MismatchError when the split can't be had.
    """
    manifest = ingested(bucket, data_version)
    rows = [row for row in manifest["photos"] if row["split"] == "test"]
    photos = sorted((Photo(row["name"], row["label"], row["sha256"]) for row in rows), key=lambda photo: photo.name)
    complete(photos, f"the test split of {key.uri(bucket.name, key.data_prefix(data_version, 'ingested'))}")
    body = canonical(photos)
    found = EvalSet(hashlib.sha256(body).hexdigest(), tuple(photos))
    target = prefix(found.digest)
    if store.download_if_there(bucket, target + MANIFEST) == body:
        return found
    with tempfile.TemporaryDirectory(prefix="evalset-") as name:
        folder = Path(name)
        _pack(bucket, data_version, found, sorted({row["shard"] for row in rows}), folder / PICTURES)
        (folder / MANIFEST).write_bytes(body)
        store.upload(bucket, target + PICTURES, folder / PICTURES, once=True)
        store.upload(bucket, target + MANIFEST, folder / MANIFEST, once=True)
    return found


def ingested(bucket: Any, data_version: str) -> dict[str, Any]:
    """The manifest of a data version's photographs. Raises MismatchError when there is none."""
    path = key.data_prefix(data_version, "ingested") + "manifest.json"
    content = store.download_if_there(bucket, path) if DATA_VERSION.fullmatch(data_version) else None
    if content is None:
        raise MismatchError(f"{key.uri(bucket.name, path)} is not there", "name another version, or train anew")
    return dict(json.loads(content))


def _pack(bucket: Any, data_version: str, wanted: EvalSet, shards: Sequence[str], file: Path) -> None:
    """Write the pictures of `wanted`, found in these shards of a data version, to one tar without times or owners."""
    digests = {photo.name: photo.sha256 for photo in wanted.photos}
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in of_shards(bucket, data_version, shards):
            if name in digests:
                if hashlib.sha256(data).hexdigest() != digests.pop(name):
                    raise MismatchError(f"{name} of data version {data_version} is not what its manifest says")
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
                tar.members = []  # type: ignore[attr-defined]  # or it remembers every entry it has written
    if digests:
        raise MismatchError(f"{len(digests)} pictures of data version {data_version} are missing, as {min(digests)}")


def of_shards(bucket: Any, data_version: str, shards: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each picture in these shards of a data version. Raises MismatchError if one can't be read."""
    for shard in shards:
        path = key.data_prefix(data_version, "ingested") + shard
        try:
            yield from archive.entries(bucket, path)
        except (FileNotFoundError, tarfile.TarError) as error:
            raise MismatchError(f"{key.uri(bucket.name, path)} can't be read: {error}") from None
