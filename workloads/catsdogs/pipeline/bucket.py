"""Cloud Storage for the stages: list, download with threads, upload; every failure becomes one StageError.
It must not know what the objects mean, and must not import torch."""

from __future__ import annotations

import contextlib
import mimetypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError

THREADS = 16
TIMEOUT = 30.0
RETRY_SECONDS = 60.0


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's exceptions into a StageError about `what` ("gs://b/datasets/…")."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except (api.Forbidden, api.Unauthorized, auth.DefaultCredentialsError) as error:
        raise StageError(
            Exit.PERMISSION_DENIED,
            f"no rights to {what}: {_short(error)}",
            "give the trainer's Google service account roles/storage.objectUser on the bucket",
        ) from error
    except api.NotFound as error:
        raise StageError(
            Exit.BUCKET_NOT_FOUND,
            f"{what} is not there: {_short(error)}",
            "create the bucket, or name another one in spec.bucket",
        ) from error
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException | ConnectionError):
            raise  # a full disk is not the bucket's fault
        raise StageError(
            Exit.UNAVAILABLE,
            f"{what} did not answer within {RETRY_SECONDS:.0f} s of retries: {_short(error)}",
            "run again; if it stays, look at the object store",
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def open_bucket(name: str) -> Any:
    """The bucket `name`, with a connection pool as wide as THREADS. Sends nothing yet."""
    from google.cloud import storage
    from requests.adapters import HTTPAdapter

    with explained(f"gs://{name}"):
        client = storage.Client()
        client._http.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
        client._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
        return client.bucket(name)


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


def list_raw(bucket: Any) -> list[key.RawPhoto]:
    """Every object below RAW_PREFIX but folder markers, sorted by name.

    Raises StageError 66 when there is no such bucket, 77 without rights, 75 when it does not answer.
    """
    with explained(f"gs://{bucket.name}"):
        blobs = bucket.client.list_blobs(
            bucket,
            prefix=key.RAW_PREFIX,
            fields="items(name,size,crc32c),nextPageToken",
            timeout=TIMEOUT,
            retry=_retry(),
        )
        return sorted(
            key.RawPhoto(blob.name.removeprefix(key.RAW_PREFIX), int(blob.size), str(blob.crc32c))
            for blob in blobs
            if not blob.name.endswith("/")
        )


def list_newest_first(bucket: Any, prefix: str, ending: str, before: str) -> list[str]:
    """Names below `prefix` that end with `ending` and sort before the name `before`, the newest first."""
    with explained(f"gs://{bucket.name}"):
        blobs = bucket.client.list_blobs(
            bucket,
            prefix=prefix,
            end_offset=before,
            fields="items(name,timeCreated),nextPageToken",
            timeout=TIMEOUT,
            retry=_retry(),
        )
        found = [(blob.time_created, blob.name) for blob in blobs if blob.name.endswith(ending)]
    return [name for _, name in sorted(found, reverse=True)]


def download(bucket: Any, path: str) -> bytes:
    """The bytes of one object, checksum verified. Raises StageError 67 when it is gone."""
    from google.api_core.exceptions import NotFound

    what = key.uri(bucket.name, path)
    with explained(what):
        try:
            return bytes(bucket.blob(path).download_as_bytes(timeout=TIMEOUT, retry=_retry()))
        except NotFound:
            raise StageError(
                Exit.DATA_CHANGED, f"{what} was listed and is gone", "don't change raw photographs during a run"
            ) from None


def download_if_there(bucket: Any, path: str) -> bytes | None:
    """The bytes of one object, or None when there is none (or no bucket)."""
    from google.api_core.exceptions import NotFound

    with explained(key.uri(bucket.name, path)):
        try:
            return bytes(bucket.blob(path).download_as_bytes(timeout=TIMEOUT, retry=_retry()))
        except NotFound:
            return None


def upload(bucket: Any, path: str, file: Path, *, once: bool = False) -> bool:
    """Write one object from a file. With `once` only if there is none: False says that one was there."""
    from google.api_core.exceptions import PreconditionFailed

    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with explained(key.uri(bucket.name, path)):
        try:
            bucket.blob(path).upload_from_filename(
                str(file),
                content_type=kind,
                timeout=TIMEOUT,
                retry=_retry(),
                if_generation_match=0 if once else None,
            )
        except PreconditionFailed:
            return False
    return True


def upload_folder(bucket: Any, prefix: str, folder: Path, last: str) -> bool:
    """Upload a folder as a version: `last` closes it, so that a half version is never seen as whole.

    Returns False, with nothing sent, when `last` is there already.
    """
    with explained(key.uri(bucket.name, prefix)):
        if bucket.blob(prefix + last).exists(timeout=TIMEOUT, retry=_retry()):
            return False
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / last)
    with ThreadPoolExecutor(min(THREADS, len(files) or 1)) as pool:
        list(pool.map(lambda path: upload(bucket, prefix + path.relative_to(folder).as_posix(), path), files))
    return upload(bucket, prefix + last, folder / last, once=True)


def delete_folder(bucket: Any, prefix: str) -> None:
    """Delete every object below `prefix`; what is gone already does not matter."""
    with explained(key.uri(bucket.name, prefix)):
        blobs = list(bucket.client.list_blobs(bucket, prefix=prefix, timeout=TIMEOUT, retry=_retry()))
        bucket.delete_blobs(blobs, on_error=lambda _: None, timeout=TIMEOUT, retry=_retry())
