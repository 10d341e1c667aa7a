"""Cloud Storage as the operator reads it: the list of raw photographs and published results.

Blocking calls run in a few threads, each with a timeout; nothing is written and nothing decided here.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests.exceptions
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import storage

from catsdogs.key import RAW_PREFIX, RawPhoto, model_prefix, raw_hash, uri, version
from mlops_operator.api.training_run import BucketFailure, Lookup
from mlops_operator.status.pod import as_object

TIMEOUT = (5.0, 20.0)
LISTING_AGE = 5.0
DOCUMENT_LIMIT = 256 * 1024
THREADS = 4


OUTAGES = (
    exceptions.GoogleAPIError,
    auth_exceptions.GoogleAuthError,
    requests.exceptions.RequestException,
    OSError,
)


@dataclass(frozen=True)
class _Listing:
    taken: float
    hash: str
    photos: int


class Bucket:
    """Reads through one client, made when first needed; listings are kept for LISTING_AGE seconds."""

    def __init__(self) -> None:
        self._client: storage.Client | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bucket")
        self._listings: dict[str, _Listing] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def close(self) -> None:
        """Let no new call begin."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find_key(self, bucket: str, parameters: Mapping[str, Any], image: str, rerun: str = "") -> Lookup:
        """Hash the raw photographs, derive the run's version, and read model.json of that version."""
        try:
            listing = await self._listing(bucket)
            if not listing.photos:
                return Lookup()
            key = version(listing.hash, parameters, image, rerun)
            model = await self._in_thread(self._read_model, bucket, key)
        except _Failed as error:
            return Lookup(failure=error.failure)
        return Lookup(raw_hash=listing.hash, photos=listing.photos, version=key, model=model)

    async def find_result(self, bucket: str, run_version: str) -> Lookup:
        """Read model.json of a version."""
        try:
            model = await self._in_thread(self._read_model, bucket, run_version)
        except _Failed as error:
            return Lookup(failure=error.failure)
        return Lookup(version=run_version, model=model)

    async def read_document(self, address: str) -> Mapping[str, Any] | None:
        """The JSON object at a gs:// address; None when there is none or it can't be read now."""
        bucket, _, name = address.removeprefix("gs://").partition("/")
        try:
            found: Mapping[str, Any] | None = await self._in_thread(self._read, bucket, name)
        except _Failed:
            return None
        return found

    async def _listing(self, bucket: str) -> _Listing:
        async with self._locks.setdefault(bucket, asyncio.Lock()):
            known = self._listings.get(bucket)
            if known is None or time.monotonic() - known.taken > LISTING_AGE:
                known = await self._in_thread(self._list, bucket)
                self._listings[bucket] = known
            return known

    async def _in_thread(self, function: Any, bucket: str, *rest: str) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, bucket, *rest)
        except Exception as error:
            failure = failure_of(error, bucket)
            if failure is None:
                raise
            raise _Failed(failure) from error

    def _storage(self) -> storage.Client:
        if self._client is None:
            self._client = storage.Client()
        return self._client

    def _list(self, bucket: str) -> _Listing:
        taken = time.monotonic()
        blobs = self._storage().list_blobs(
            bucket,
            prefix=RAW_PREFIX,
            fields="items(name,size,crc32c),nextPageToken",
            page_size=5000,
            timeout=TIMEOUT,
            retry=None,
        )
        photos = [
            RawPhoto(blob.name.removeprefix(RAW_PREFIX), int(blob.size or 0), blob.crc32c or "")
            for blob in blobs
            if not blob.name.endswith("/")
        ]
        return _Listing(taken, raw_hash(photos), len(photos))

    def _read_model(self, bucket: str, run_version: str) -> Mapping[str, Any] | None:
        return self._read(bucket, f"{model_prefix(run_version)}model.json")

    def _read(self, bucket: str, name: str) -> Mapping[str, Any] | None:
        blob = self._storage().bucket(bucket).blob(name)
        try:
            data = blob.download_as_bytes(end=DOCUMENT_LIMIT, timeout=TIMEOUT, retry=None)
        except exceptions.RequestRangeNotSatisfiable:
            data = b""  # that is how an empty object answers
        except exceptions.NotFound as error:
            if _is_bucket_missing(error):
                raise
            return None
        document = as_object(data.decode(errors="replace"))
        if not document:
            where = uri(bucket, name)
            message = f"{where} is no JSON object: remove it, so that the model can be trained again"
            raise _Failed(BucketFailure("ResultInvalid", message))
        return document


class _Failed(Exception):  # noqa: N818 - carries a value, is not shown
    def __init__(self, failure: BucketFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: Exception, bucket: str) -> BucketFailure | None:
    """What `error` of the client means for a run that uses `bucket`; None: it is a fault of this program."""
    if isinstance(error, _Failed):
        return error.failure
    if isinstance(error, exceptions.NotFound):
        return BucketFailure("BucketNotFound", f"Bucket gs://{bucket} does not exist")
    if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
        message = f"The operator may not read bucket gs://{bucket}: {_line(error)}"
        return BucketFailure("PermissionDenied", message)
    if isinstance(error, exceptions.ClientError) and not isinstance(error, exceptions.TooManyRequests):
        return BucketFailure("BucketNotFound", f"Bucket gs://{bucket} is refused: {_line(error)}")
    if isinstance(error, OUTAGES):
        return BucketFailure("BucketUnavailable", f"Bucket gs://{bucket} does not answer: {_line(error)}")
    return None


def _is_bucket_missing(error: exceptions.NotFound) -> bool:
    return "bucket does not exist" in str(error).lower()


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
