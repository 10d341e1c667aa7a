"""Raw photographs: where they come from, a local folder or the bucket, behind two functions.
It must not look into a photograph."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import data_error
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.workspace import RAW_MANIFEST, write_json

DEFAULT_FOLDER = Path("data/raw")


def source() -> tuple[str, str]:
    """("bucket", name) when CATSDOGS_BUCKET is set, else ("folder", path) of CATSDOGS_RAW or data/raw."""
    if bucket := os.environ.get("CATSDOGS_BUCKET"):
        return "bucket", bucket
    return "folder", os.environ.get("CATSDOGS_RAW") or str(DEFAULT_FOLDER)


def list_photos() -> list[key.RawPhoto]:
    """All raw photographs of the source, sorted by name. Raises StageError 65 when there is none."""
    kind, place = source()
    photos = store.list_raw(store.open_bucket(place)) if kind == "bucket" else list_folder(Path(place))
    if not photos:
        where = key.uri(place, key.RAW_PREFIX) if kind == "bucket" else f"{place}/"
        raise data_error(f"{where} holds no photographs", "put them there as Cat/NAME.jpg and Dog/NAME.jpg")
    return photos


def list_folder(folder: Path) -> list[key.RawPhoto]:
    """Every file below Cat/ and Dog/ of a local folder, with the checksum that GCS would give it."""
    import google_crc32c

    def photo(path: Path) -> key.RawPhoto:
        data = path.read_bytes()
        checksum = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
        return key.RawPhoto(path.relative_to(folder).as_posix(), len(data), checksum)

    if not folder.is_dir():
        raise data_error(f"{folder}/ is not there", "name a folder that holds Cat/ and Dog/")
    files = (path for name in key.CLASS_FOLDERS for path in (folder / name).rglob("*"))
    return sorted(photo(path) for path in files if path.is_file())


def write_manifest(photos: list[key.RawPhoto]) -> str:
    """Write the raw manifest that everything depends on; returns its raw hash."""
    digest = key.raw_hash(photos)
    rows = [[photo.name, photo.size, photo.crc32c] for photo in photos]
    write_json(RAW_MANIFEST, {"rawHash": digest, "photos": rows})
    return digest


def reader() -> Callable[[str], bytes]:
    """A function that reads one photograph by its name; safe to call from several threads."""
    kind, place = source()
    if kind == "bucket":
        bucket: Any = store.open_bucket(place)
        return lambda name: store.download(bucket, key.RAW_PREFIX + name)
    return lambda name: (Path(place) / name).read_bytes()
