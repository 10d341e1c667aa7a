"""Ingest: raw photographs to checked, deduplicated tar shards with a split, and a manifest that names every reject.
It must not resize or decode for training, and must never drop a photograph without saying so."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from catsdogs import key
from catsdogs.errors import data_error
from catsdogs.pipeline import raw
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import INGESTED, RAW_MANIFEST, SPLITS, read_json, read_parameters, write_json

# Shares of train, val and test; a photograph's own hash decides, so newcomers never move an old one.
SHARES = (0.70, 0.15, 0.15)
SHARD_BYTES = 48 * 2**20
MIN_SIDE = 32
MAX_PIXELS = {"JPEG": 50_000_000, "PNG": 25_000_000}  # as images.py, which would cost an import of torch here
SUFFIXES = (".jpg", ".jpeg", ".png")
WINDOW = 64


@dataclass(frozen=True)
class Photo:
    """An accepted photograph: `sha256` of its bytes, width and height in pixels, `shard` that holds it."""

    name: str
    label: str
    split: str
    sha256: str
    bytes: int
    width: int
    height: int
    shard: str = ""


@dataclass(frozen=True)
class Reject:
    """A photograph set aside: BadName, NotAPicture, Corrupt, TooSmall, TooLarge or Duplicate, and the details."""

    name: str
    reason: str
    detail: str


def run() -> None:
    """The stage: data/raw-manifest.json and the raw photographs to data/ingested."""
    listed = read_json(RAW_MANIFEST)
    names = [row[0] for row in listed["photos"]]
    INGESTED.mkdir(parents=True, exist_ok=True)
    read = raw.verified(listed["photos"], raw.reader())
    photos, rejects = pack(names, read, INGESTED, Progress("ingest"))
    check_enough(photos, rejects)
    manifest = {
        "dataVersion": data_version(listed["rawHash"]),
        "rawHash": listed["rawHash"],
        "photos": [asdict(photo) for photo in photos],
        "rejected": [asdict(reject) for reject in rejects],
    }
    write_json(INGESTED / "manifest.json", manifest)


def data_version(raw_hash: str) -> str:
    """12 hex digits: raw photographs, what shapes the arrays (imageSize) and the code of ingest and preprocess."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(raw_hash.encode())
    digest.update(json.dumps({"imageSize": read_parameters()["imageSize"]}).encode())
    for source in ("pipeline/ingest.py", "pipeline/preprocess.py", "images.py"):
        digest.update((package / source).read_bytes())
    return digest.hexdigest()[: key.VERSION_LENGTH]


def pack(
    names: list[str], read: Callable[[str], bytes], folder: Path, progress: Progress
) -> tuple[list[Photo], list[Reject]]:
    """Check the photographs in order of name and write the good ones to tar shards in `folder`.

    Reading and checking run ahead in threads by at most WINDOW photographs, so memory stays flat.
    """
    photos: list[Photo] = []
    rejects: list[Reject] = []
    first: dict[str, str] = {}
    with contextlib.closing(Shards(folder)) as shards:
        for done, (data, found) in enumerate(_ahead(names, lambda name: _read_and_check(name, read)), start=1):
            if isinstance(found, Photo) and found.sha256 in first:
                found = Reject(found.name, "Duplicate", f"same bytes as {first[found.sha256]}")
            if isinstance(found, Photo):
                first[found.sha256] = found.name
                shard = shards.add(found.name, data)
                photos.append(Photo(**{**asdict(found), "shard": shard}))
            else:
                rejects.append(found)
            progress.report(done, len(names))
    return photos, rejects


def _ahead(names: list[str], work: Callable[[str], Any]) -> Iterator[Any]:
    waiting = iter(names)
    with ThreadPoolExecutor(max(8, 2 * (os.cpu_count() or 1))) as pool:
        pending: list[Future[Any]] = [pool.submit(work, name) for name in islice(waiting, WINDOW)]
        while pending:
            yield pending.pop(0).result()
            pending.extend(pool.submit(work, name) for name in islice(waiting, 1))


def _read_and_check(name: str, read: Callable[[str], bytes]) -> tuple[bytes, Photo | Reject]:
    data = read(name)
    return data, check(name, data)


def check(name: str, data: bytes) -> Photo | Reject:
    """Decide about one photograph from its name ("Cat/1.jpg") and its bytes, decoding it to its end."""
    from PIL import Image

    path = PurePosixPath(name)
    if path.parts[0] not in key.CLASS_FOLDERS or path.suffix.lower() not in SUFFIXES:
        return Reject(name, "BadName", "not Cat/NAME or Dog/NAME ending in .jpg, .jpeg or .png")
    Image.MAX_IMAGE_PIXELS = None  # the limit right below is stricter, and says what it is
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except Exception:
        return Reject(name, "NotAPicture", f"{len(data)} bytes that are neither JPEG nor PNG")
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        return Reject(name, "TooSmall", f"{width} x {height} px, at least {MIN_SIDE} x {MIN_SIDE} are needed")
    allowed = MAX_PIXELS["PNG" if image.format == "PNG" else "JPEG"]  # a JPEG may call itself MPO
    if width * height > allowed:
        return Reject(name, "TooLarge", f"{width} x {height} px, at most {allowed} are read")
    try:
        # A JPEG decoded at an eighth still reads every byte, so that a cut-off file shows.
        image.draft("RGB", (width // 8, height // 8))
        image.load()
    except Exception as error:
        return Reject(name, "Corrupt", str(error)[:200])
    sha256 = hashlib.sha256(data).hexdigest()
    label = key.CLASSES[key.CLASS_FOLDERS.index(path.parts[0])]
    return Photo(name, label, split_of(sha256), sha256, len(data), width, height)


def split_of(sha256: str) -> str:
    """The split of a photograph, from nothing but its own bytes: the first 32 bits against the shares."""
    position = int(sha256[:8], 16) / 2**32
    if position < SHARES[0]:
        return SPLITS[0]
    return SPLITS[1] if position < SHARES[0] + SHARES[1] else SPLITS[2]


def check_enough(photos: list[Photo], rejects: list[Reject]) -> None:
    """Raise StageError 65 when a class is missing from the data or from one of its splits."""
    have = Counter((photo.split, photo.label) for photo in photos)
    labels = {photo.label for photo in photos}
    aside = f" ({len(rejects)} set aside, the first: {rejects[0].name}: {rejects[0].reason})" if rejects else ""
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
                    "add photographs; 50 of each class are enough for all splits",
                )


class Shards:
    """Tar files of about SHARD_BYTES, the same bytes for the same photographs: no times, no owners."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.size = 0
        self.tar: tarfile.TarFile | None = None

    def add(self, name: str, data: bytes) -> str:
        """Append one photograph; returns the name of the shard that took it."""
        if self.tar is None or self.size >= SHARD_BYTES:
            self.close()
            self.tar = tarfile.open(self.folder / self._name(), "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))
        self.size += len(data)
        return self._name()

    def _name(self) -> str:
        return f"shard-{self.count:05d}.tar"

    def close(self) -> None:
        """Finish the open shard, if there is one."""
        if self.tar is not None:
            self.tar.close()
            self.tar, self.size, self.count = None, 0, self.count + 1
