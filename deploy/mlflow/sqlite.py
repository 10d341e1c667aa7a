"""Copies MLflow's SQLite database to the bucket, and back: `sqlite.py backup`, `sqlite.py restore [NAME]`.
It must not decide when: a backup runs beside the server, a restore never does, and both are the CronJobs' matter.

A copy is an object by its time, e.g. gs://BUCKET/mlflow-backups/2026-11-25T101700Z.db.gz; an object is there whole or
not at all. Settings: MLFLOW_BACKEND_STORE_URI, BACKUPS, KEEP_DAYS.
"""

import gzip
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage

NAME = "%Y-%m-%dT%H%M%SZ.db.gz"
LOCK_SECONDS = 60.0  # to wait for a writer
BESIDES = ("-journal", "-wal", "-shm")  # a journal of the old database would be played back into the new one


class BackupError(Exception):
    """What went wrong, in one line."""


def copy(source: Path, target: Path) -> None:
    """Copy a database that is being written: one state of it, of between two transactions.

    In one step, which holds SQLite's read lock: writers wait. By parts it would start anew with each of their writes.
    """
    with closing(_read(source)) as database, closing(sqlite3.connect(target)) as copied:
        database.backup(copied)


def runs(database: Path) -> int:
    """How many runs a database holds. Raises `BackupError` unless SQLite finds all of it whole."""
    try:
        with closing(_read(database)) as opened:
            found = opened.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise BackupError(f"{database} is damaged: {found}")
            return int(opened.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.Error as error:
        raise BackupError(f"{database} is no database of MLflow: {error}") from error


def backup(database: Path, bucket: Any, folder: str, now: datetime, keep: timedelta) -> str:
    """Put a checked copy into the bucket, then delete those older than `keep`; returns a line that says so."""
    with tempfile.TemporaryDirectory() as place:
        copied, packed = Path(place, "copy.db"), Path(place, "copy.db.gz")
        copy(database, copied)
        count = runs(copied)
        kept = _backups(bucket, folder)
        if kept and not count:
            raise BackupError(
                f"{database} has no run, and there are {len(kept)} backups: restore the newest, {kept[-1].name}"
            )
        with copied.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target)
        name = f"{folder}/{now.strftime(NAME)}"
        try:
            bucket.blob(name).upload_from_filename(str(packed), if_generation_match=0, checksum="crc32c", timeout=300)
        except PreconditionFailed as error:
            raise BackupError(
                f"gs://{bucket.name}/{name} is there already: wait a second and start it again"
            ) from error
        size = packed.stat().st_size
    old = [blob for blob in kept if blob.name < f"{folder}/{(now - keep).strftime(NAME)}"]
    for blob in old:
        blob.delete(timeout=60)
    return f"gs://{bucket.name}/{name}: {count} runs, {size:,} bytes; {len(old)} older than {keep.days} days deleted"


def restore(database: Path, bucket: Any, folder: str, name: str) -> str:
    """Put a copy, by default the newest, in the database's place; returns a line that says so.

    What was there stays beside it, with .replaced. A copy that is not whole replaces nothing: it raises.
    """
    found = [blob for blob in _backups(bucket, folder) if name in ("", blob.name.removeprefix(f"{folder}/"))]
    if not found:
        raise BackupError(f"gs://{bucket.name}/{folder} holds no backup {name}".rstrip())
    packed, fetched = database.with_suffix(".fetched.gz"), database.with_suffix(".fetched")
    try:
        found[-1].download_to_filename(str(packed), checksum="crc32c", timeout=300)
        with gzip.open(packed) as source, fetched.open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        count = runs(fetched)
        for ending in ("", *BESIDES):
            if (old := Path(f"{database}{ending}")).exists():
                old.replace(f"{database}.replaced{ending}")
        fetched.replace(database)
    finally:
        packed.unlink(missing_ok=True)
        fetched.unlink(missing_ok=True)
    return f"{database} is gs://{bucket.name}/{found[-1].name}: {count} runs"


def _read(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=LOCK_SECONDS)


def _backups(bucket: Any, folder: str) -> list[Any]:
    """The copies in the bucket, oldest first."""
    found = bucket.client.list_blobs(bucket, prefix=f"{folder}/", timeout=60)
    return sorted((blob for blob in found if blob.name.endswith(".db.gz")), key=lambda blob: blob.name)


def main(command: str, name: str = "") -> str:
    """Run one of the two commands by the settings of the environment."""
    database = Path(os.environ["MLFLOW_BACKEND_STORE_URI"].removeprefix("sqlite:///"))
    bucket, _, folder = os.environ["BACKUPS"].removeprefix("gs://").partition("/")
    with closing(storage.Client()) as client:
        if command == "restore":
            return restore(database, client.bucket(bucket), folder, name or os.environ.get("BACKUP", ""))
        keep = timedelta(days=int(os.environ.get("KEEP_DAYS", "14")))
        return backup(database, client.bucket(bucket), folder, datetime.now(UTC), keep)


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:]))
    except Exception as error:  # whatever it was: the Job's message is this line
        sys.exit(f"{sys.argv[1]}: {type(error).__name__}: {error}")
