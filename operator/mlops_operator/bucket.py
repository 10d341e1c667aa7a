"""Cloud Storage as the operator uses it: the list of raw photographs, published results, and the ledger it writes.

Its JSON API over plain HTTP, since the official client blocks a thread for each call and costs a run more CPU
than all the rest; nothing is written over and nothing decided here.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies

import aiohttp
from google.auth import exceptions as auth_exceptions
from yarl import URL

from catsdogs.key import RAW_PREFIX, RawPhoto, model_prefix, raw_hash, uri, version
from mlops_operator.account import Account
from mlops_operator.api.training_run import BucketFailure, Lookup
from mlops_operator.status.pod import as_object

TIMEOUT = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0, sock_read=20.0)
LISTING_AGE = 5.0
LISTING_PAGE = 5000
DOCUMENT_LIMIT = 256 * 1024
ERROR_LIMIT = 16 * 1024
PRECONDITION_FAILED = 412
CONNECTIONS = 16
EMULATOR = "STORAGE_EMULATOR_HOST"
PUBLIC = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
FIELDS = "items(name,size,crc32c),nextPageToken"

OUTAGES = (aiohttp.ClientError, TimeoutError, OSError, auth_exceptions.GoogleAuthError)


@dataclass(frozen=True)
class _Listing:
    taken: float
    hash: str
    photos: int


class Bucket:
    """Reads over one session, made when first needed; listings are kept for LISTING_AGE seconds."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._account = Account(SCOPE)
        self._listings: dict[str, _Listing] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def find_key(self, bucket: str, parameters: Mapping[str, Any], image: str, rerun: str = "") -> Lookup:
        """Hash the raw photographs, derive the run's version, and read model.json of that version."""
        try:
            listing = await self._listing(bucket)
            if not listing.photos:
                return Lookup()
            key = version(listing.hash, parameters, image, rerun)
            model = await self._read_model(bucket, key)
        except _Failed as error:
            return Lookup(failure=error.failure)
        return Lookup(raw_hash=listing.hash, photos=listing.photos, version=key, model=model)

    async def find_result(self, bucket: str, run_version: str) -> Lookup:
        """Read model.json of a version."""
        try:
            model = await self._read_model(bucket, run_version)
        except _Failed as error:
            return Lookup(failure=error.failure)
        return Lookup(version=run_version, model=model)

    async def read_document(self, address: str) -> Mapping[str, Any] | None:
        """The JSON object at a gs:// address; None when there is none or it can't be read now."""
        bucket, _, name = address.removeprefix("gs://").partition("/")
        try:
            return await self._read(bucket, name)
        except _Failed:
            return None

    async def write_once(self, address: str, document: Mapping[str, Any]) -> BucketFailure | None:
        """Make the object at a gs:// address; None when it is there now, also when it was before."""
        bucket, _, name = address.removeprefix("gs://").partition("/")
        query = {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
        data = json.dumps(document, sort_keys=True).encode() + b"\n"
        try:
            status, body = await self._ask("POST", f"/upload/storage/v1/b/{bucket}/o", bucket, query, data)
        except _Failed as error:
            return error.failure
        written = status in (200, PRECONDITION_FAILED)
        return None if written else failure_of(status, _said(body.decode(errors="replace")), bucket)

    async def _listing(self, bucket: str) -> _Listing:
        async with self._locks.setdefault(bucket, asyncio.Lock()):
            known = self._listings.get(bucket)
            if known is None or time.monotonic() - known.taken > LISTING_AGE:
                known = await self._list(bucket)
                self._listings[bucket] = known
            return known

    async def _list(self, bucket: str) -> _Listing:
        taken, photos = time.monotonic(), []
        query = {"prefix": RAW_PREFIX, "fields": FIELDS, "maxResults": str(LISTING_PAGE)}
        while True:
            page = json.loads(await self._get(bucket, "", query))
            for item in page.get("items", ()):
                if not item["name"].endswith("/"):
                    name = item["name"].removeprefix(RAW_PREFIX)
                    photos.append(RawPhoto(name, int(item.get("size", 0)), item.get("crc32c", "")))
            if not (position := page.get("nextPageToken")):
                return _Listing(taken, raw_hash(photos), len(photos))
            query["pageToken"] = position

    async def _read_model(self, bucket: str, run_version: str) -> Mapping[str, Any] | None:
        return await self._read(bucket, f"{model_prefix(run_version)}model.json")

    async def _read(self, bucket: str, name: str) -> Mapping[str, Any] | None:
        try:
            data = await self._get(bucket, f"/{quote(name, safe='')}", {"alt": "media"}, DOCUMENT_LIMIT)
        except _NoObjectError:
            return None
        document = as_object(data.decode(errors="replace"))
        if not document:
            where = uri(bucket, name)
            message = f"{where} is no JSON object: remove it, so that the model can be trained again"
            raise _Failed(BucketFailure("ResultInvalid", message))
        return document

    async def _get(self, bucket: str, rest: str, query: Mapping[str, str], limit: int = -1) -> bytes:
        """The body of an answer, or the first `limit` bytes of it. Raises _Failed and _NoObjectError."""
        status, body = await self._ask("GET", f"/storage/v1/b/{bucket}/o{rest}", bucket, query, limit=limit)
        if status == 200:
            return body
        said = _said(body.decode(errors="replace"))
        if rest and status == 404 and "bucket does not exist" not in said.lower():
            raise _NoObjectError
        raise _Failed(failure_of(status, said, bucket))

    async def _ask(
        self, verb: str, path: str, bucket: str, query: Mapping[str, str], data: bytes | None = None, limit: int = -1
    ) -> tuple[int, bytes]:
        """Status and body (of a 200: its first `limit` bytes). Raises _Failed when no answer comes."""
        url, content = URL(f"{_host()}{path}", encoded=True), {"Content-Type": "application/json"} if data else {}
        try:
            headers = {**await self._headers(), **content}
            async with self._http().request(verb, url, params=query, data=data, headers=headers) as answer:
                return answer.status, await _read_up_to(answer.content, limit if answer.status == 200 else ERROR_LIMIT)
        except OUTAGES as error:
            message = f"Bucket gs://{bucket} does not answer: {_line(error)}"
            raise _Failed(BucketFailure("BucketUnavailable", message)) from error

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS)
            # With trust_env every request costs two thread hops, so only where a proxy is set.
            proxies = bool(getproxies())
            self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=proxies)
        return self._session

    async def _headers(self) -> dict[str, str]:
        """Who asks: nobody at the emulator, else the account of the environment."""
        return {} if os.environ.get(EMULATOR) else await self._account.headers()


def _host() -> str:
    host = os.environ.get(EMULATOR) or PUBLIC
    return host.rstrip("/") if "://" in host else f"http://{host}"


async def _read_up_to(content: aiohttp.StreamReader, limit: int) -> bytes:
    if limit < 0:
        return await content.read()
    parts, left = [], limit
    while left > 0 and (part := await content.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class _NoObjectError(Exception):
    """There is no object of that name in a bucket that is there."""


class _Failed(Exception):  # noqa: N818 - carries a value, is not shown
    def __init__(self, failure: BucketFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(status: int, said: str, bucket: str) -> BucketFailure:
    """What an answer other than 200 means for a run that uses `bucket`; `said` is the server's own word."""
    if status == 404:
        return BucketFailure("BucketNotFound", f"Bucket gs://{bucket} does not exist")
    if status in (401, 403):
        message = f"The operator has no right to do this in bucket gs://{bucket}: {said}"
        return BucketFailure("PermissionDenied", message)
    if 400 <= status < 500 and status not in (408, 429):
        return BucketFailure("BucketNotFound", f"Bucket gs://{bucket} is refused: {said}")
    return BucketFailure("BucketUnavailable", f"Bucket gs://{bucket} does not answer: {status} {said}")


def _said(body: str) -> str:
    """The message in an error's JSON, or its first line."""
    error = as_object(body).get("error")
    message = error.get("message") if isinstance(error, Mapping) else None
    return (str(message or body).splitlines() or [""])[0][:300]


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
