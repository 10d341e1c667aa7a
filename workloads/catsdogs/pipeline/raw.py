"""Raw photographs: where they come from, a local folder or the bucket, behind two functions.
It must not look into a photograph."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError, data_error
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.workspace import RAW_MANIFEST, write_json

DEFAULT_FOLDER = Path("data/raw")
PUT_THEM = "put them there as Cat/NAME.jpg and Dog/NAME.jpg"


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
        raise data_error(f"{where} holds no photographs", PUT_THEM)
    return photos


def crc32c(data: bytes) -> str:
    """The checksum as Cloud Storage gives it: base64 of the four bytes of CRC-32C, big end first."""
    import google_crc32c

    return base64.b64encode(int(google_crc32c.value(data)).to_bytes(4, "big")).decode()


def list_folder(folder: Path) -> list[key.RawPhoto]:
    """Every file of a local folder, named as `shown` says, with the checksum that GCS would give it.

    Also what lies beside Cat/ and Dog/: a photograph that is not used is to be named. Raises StageError 65 when
    there is neither of the two, before anything is read, or when a file can't be read.
    """

    def photo(path: Path) -> key.RawPhoto:
        try:
            data = path.read_bytes()
        except OSError as error:
            where = shown(path, folder.parent)
            raise data_error(f"{where} can't be read: {error.strerror}", "mend or remove it, and run again") from None
        return key.RawPhoto(shown(path, folder), len(data), crc32c(data))

    if not folder.is_dir():
        raise data_error(f"{folder}/ is not there", "name a folder that holds Cat/ and Dog/")
    if not any((folder / name).is_dir() for name in key.CLASS_FOLDERS):
        raise data_error(f"{folder}/ holds no photographs", PUT_THEM)
    return sorted(photo(path) for path in folder.rglob("*") if not path.is_dir())


def shown(path: Path, folder: Path) -> str:
    """The name of a file below `folder`; bytes that are not UTF-8 become \\xNN, so that it can be written down."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode(errors="backslashreplace")


def write_manifest(photos: list[key.RawPhoto], file: Path = RAW_MANIFEST) -> str:
    """Write the raw manifest that everything depends on; returns its raw hash."""
    digest = key.raw_hash(photos)
    rows = [[photo.name, photo.size, photo.crc32c] for photo in photos]
    write_json(file, {"rawHash": digest, "photos": rows}, indent=None)
    return digest


def reader() -> Callable[[str], bytes]:
    """A function that reads one photograph by its name; safe to call from several threads."""
    kind, place = source()
    if kind == "bucket":
        bucket: Any = store.open_bucket(place)
        return lambda name: store.download(bucket, key.RAW_PREFIX + name)
    return lambda name: (Path(place) / name).read_bytes()


def verified(listed: Iterable[Sequence[Any]], read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """`read`, held to the manifest's rows of name, size and checksum: the raw hash stands for these bytes.

    The function raises StageError 67 for a photograph that is gone or is another one than was listed.
    """
    expected = {name: (size, checksum) for name, size, checksum in listed}

    def checked(name: str) -> bytes:
        try:
            data = read(name)
        except FileNotFoundError:
            raise _changed(name, "is gone") from None
        if (len(data), crc32c(data)) != expected[name]:
            raise _changed(name, f"is another one now, of {len(data)} bytes")
        return data

    return checked


def _changed(name: str, how: str) -> StageError:
    return StageError(
        Exit.DATA_CHANGED, f"{name} was listed and {how}", "don't change raw photographs during a run; run again"
    )
