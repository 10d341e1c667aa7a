"""Cloud Storage for the stages: list, download with threads, upload; every failure becomes one StageError.
It must not know what the objects mean, and must not import torch."""

from __future__ import annotations

import contextlib
import datetime as dt
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from catsdogs import key
from catsdogs.errors import RIGHTS_HINT, Exit, StageError, config_error

THREADS = 16
TIMEOUT = 30.0
RETRY_SECONDS = 60.0
T = TypeVar("T")
SESSIONS = 3  # a resumable upload whose session is lost (404) has to begin anew, says Cloud Storage
REQUEST_TIMEOUT = 408
NAMES = "items(name),nextPageToken"
BUCKET_HINT = "create the bucket, or name another one in spec.bucket"


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
            RIGHTS_HINT,
        ) from error
    except api.NotFound as error:
        raise StageError(Exit.BUCKET_NOT_FOUND, f"{what} is not there: {_short(error)}", BUCKET_HINT) from error
    except api.ClientError as error:
        if isinstance(error, api.TooManyRequests) or error.code == REQUEST_TIMEOUT:
            raise _unavailable(what, error) from error
        raise config_error(f"{what} is refused: {_short(error)}", "check the bucket's name and settings") from error
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException | ConnectionError):
            raise  # a full disk is not the bucket's fault
        raise _unavailable(what, error) from error


def _unavailable(what: str, error: Exception) -> StageError:
    return StageError(
        Exit.UNAVAILABLE,
        f"{what} did not answer within {RETRY_SECONDS:.0f} s of retries: {_short(error)}",
        "run again; if it stays, look at the object store",
    )


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


def together(work: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """The results of `work` for each of `items`, in order, by THREADS threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def retry() -> Any:
    """What the client may try again, and for how long."""
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
            retry=retry(),
        )
        return sorted(
            key.RawPhoto(blob.name.removeprefix(key.RAW_PREFIX), int(blob.size), str(blob.crc32c))
            for blob in blobs
            if not blob.name.endswith("/")
        )


def check(bucket: Any) -> None:
    """Raise StageError 66, 77 or 75 when the bucket is gone, closed to us or deaf. Asks for one name below dvc/."""
    with explained(f"gs://{bucket.name}"):
        list(bucket.client.list_blobs(bucket, prefix=key.DVC_PREFIX, max_results=1, timeout=TIMEOUT, retry=retry()))


def list_newest_first(bucket: Any, prefix: str, ending: str, before: str) -> list[str]:
    """Names below `prefix` that end with `ending` and sort before the name `before`, the newest first."""
    with explained(f"gs://{bucket.name}"):
        blobs = bucket.client.list_blobs(
            bucket,
            prefix=prefix,
            end_offset=before,
            fields="items(name,timeCreated),nextPageToken",
            timeout=TIMEOUT,
            retry=retry(),
        )
        found = [(blob.time_created, blob.name) for blob in blobs if blob.name.endswith(ending)]
    return [name for _, name in sorted(found, reverse=True)]


def download(bucket: Any, path: str) -> bytes:
    """The bytes of one object, checksum verified. Raises StageError 67 when it is gone."""
    from google.api_core.exceptions import NotFound

    what = key.uri(bucket.name, path)
    with explained(what):
        try:
            return bytes(bucket.blob(path).download_as_bytes(timeout=TIMEOUT, retry=retry()))
        except NotFound as error:
            if bucket_is_missing(error):
                raise
            raise StageError(
                Exit.DATA_CHANGED, f"{what} was listed and is gone", "don't change raw photographs during a run"
            ) from None


def bucket_is_missing(error: Exception) -> bool:
    """Whether a 404 is about the bucket, not the object."""
    return "bucket does not exist" in str(error).lower()


def download_if_there(bucket: Any, path: str) -> bytes | None:
    """The bytes of one object, or None when there is none (or no bucket)."""
    from google.api_core.exceptions import NotFound

    with explained(key.uri(bucket.name, path)):
        try:
            return bytes(bucket.blob(path).download_as_bytes(timeout=TIMEOUT, retry=retry()))
        except NotFound:
            return None


def upload(bucket: Any, path: str, file: Path, *, once: bool = False) -> bool:
    """Write one object from a file. With `once` only if there is none: False says that one was there."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with explained(key.uri(bucket.name, path)):
        for attempt in range(1, SESSIONS + 1):
            try:
                bucket.blob(path).upload_from_filename(
                    str(file),
                    content_type=kind,
                    timeout=TIMEOUT,
                    retry=retry(),
                    if_generation_match=0 if once else None,
                )
                break
            except NotFound as error:
                if bucket_is_missing(error) or attempt == SESSIONS:
                    raise
            except PreconditionFailed:
                return False
    return True


def upload_folder(bucket: Any, prefix: str, folder: Path, last: str) -> bool:
    """Upload a folder as a version: `last` closes it, so that a half version is never seen as whole.

    Returns False when `last` is there already: then nothing is sent, but its time of use is renewed, so that
    garbage collection does not take it from under a run.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    if annotate(bucket, prefix + last, {"usedAt": now}):
        return False
    _upload_all(bucket, prefix, folder, {path for path in _files(folder) if path != last})
    return upload(bucket, prefix + last, folder / last, once=True)


def upload_new(bucket: Any, prefix: str, folder: Path) -> None:
    """Upload the files of a folder whose names are not below `prefix` yet."""
    with explained(key.uri(bucket.name, prefix)):
        listed = bucket.client.list_blobs(bucket, prefix=prefix, fields=NAMES, timeout=TIMEOUT, retry=retry())
        there = {blob.name.removeprefix(prefix) for blob in listed}
    _upload_all(bucket, prefix, folder, _files(folder) - there)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _upload_all(bucket: Any, prefix: str, folder: Path, names: set[str]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: upload(bucket, prefix + name, folder / name), sorted(names)))


def annotate(bucket: Any, path: str, metadata: dict[str, str | None]) -> bool:
    """Set custom metadata of an object, or remove it (None); its content stays, the time of its last change does not.

    Returns False when there is no such object.
    """
    from google.api_core.exceptions import NotFound

    blob = bucket.blob(path)
    blob.metadata = metadata
    with explained(key.uri(bucket.name, path)):
        try:
            blob.patch(timeout=TIMEOUT, retry=retry())
        except NotFound as error:
            if bucket_is_missing(error):
                raise
            return False
    return True


def delete_folder(bucket: Any, prefix: str) -> None:
    """Delete every object below `prefix`; what is gone already does not matter."""
    with explained(key.uri(bucket.name, prefix)):
        blobs = list(bucket.client.list_blobs(bucket, prefix=prefix, timeout=TIMEOUT, retry=retry()))
        bucket.delete_blobs(blobs, on_error=lambda _: None, timeout=TIMEOUT, retry=retry())
