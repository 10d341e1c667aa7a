"""The bucket as the demo sees it: the raw photographs made to be exactly the data set's, and a published file read.

It must not touch anything outside the raw folder; all that a run publishes there is the run's own.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from requests.adapters import HTTPAdapter

from catsdogs import key
from catsdogs.key import RawPhoto
from demo.dataset import Dataset
from demo.errors import DemoError
from devcluster.progress import Reporter

BUCKET = "cats-dogs"
THREADS = 8
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Changes:
    """What makes the bucket equal to the data set: names to upload and names to delete."""

    upload: tuple[str, ...]
    delete: tuple[str, ...]


def changes(wanted: Iterable[RawPhoto], there: Iterable[RawPhoto]) -> Changes:
    """Upload what differs in name, size or checksum; delete what the data set does not have."""
    new, old = {photo.name: photo for photo in wanted}, {photo.name: photo for photo in there}
    return Changes(
        upload=tuple(sorted(name for name, photo in new.items() if old.get(name) != photo)),
        delete=tuple(sorted(old.keys() - new.keys())),
    )


def photograph(name: str, file: Path) -> RawPhoto:
    """A local file as the bucket would list it."""
    content = file.read_bytes()
    digest: bytes = google_crc32c.Checksum(content).digest()  # type: ignore[no-untyped-call]
    checksum = base64.b64encode(digest).decode()
    return RawPhoto(name, len(content), checksum)


class Store:
    """One bucket of an object store that speaks Cloud Storage's JSON API without accounts."""

    def __init__(self, address: str) -> None:
        session = requests.Session()
        session.trust_env = False  # the cluster's addresses are on this machine: never through a proxy
        session.mount("http://", HTTPAdapter(pool_maxsize=THREADS, max_retries=3))
        self._client: Any = storage.Client(
            project="cats-dogs",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": address},
            _http=session,
        )
        self._bucket: Any = self._client.bucket(BUCKET)
        self.address = address

    def sync(self, dataset: Dataset, report: Reporter) -> str:
        """Make the raw folder exactly the data set; returns its raw hash, the run's view of the data."""
        with report.step("Photographs in the bucket") as step, self._explained():
            self._create_bucket()
            with ThreadPoolExecutor(THREADS) as pool:
                wanted = list(pool.map(photograph, dataset.pictures.keys(), dataset.pictures.values()))
                todo = changes(wanted, self._list())
                self._each(pool, todo.delete, self._delete, lambda done: step.update(None, f"-{done}"))
                count = len(todo.upload)
                self._each(
                    pool,
                    todo.upload,
                    lambda name: self._upload(name, dataset.pictures[name]),
                    lambda done: step.update(done / count, f"{done:,} of {count:,}"),
                )
            step.done(_said(len(wanted), todo))
        return key.raw_hash(wanted)

    def holds(self, uri: str) -> bool:
        """Whether gs://BUCKET/PATH is there."""
        with self._explained():
            return bool(self._bucket.blob(self._path(uri)).exists(timeout=TIMEOUT_SECONDS))

    def read_json(self, path: str) -> Mapping[str, Any]:
        """A JSON object of the bucket. Raises DemoError when it is not there."""
        with self._explained():
            content: Mapping[str, Any] = json.loads(self._bucket.blob(path).download_as_bytes(timeout=TIMEOUT_SECONDS))
        return content

    def _create_bucket(self) -> None:
        if not self._bucket.exists(timeout=TIMEOUT_SECONDS):
            self._client.create_bucket(BUCKET, timeout=TIMEOUT_SECONDS)

    def _list(self) -> list[RawPhoto]:
        found = self._client.list_blobs(
            BUCKET,
            prefix=key.RAW_PREFIX,
            fields="items(name,size,crc32c),nextPageToken",
            timeout=TIMEOUT_SECONDS,
        )
        return [
            RawPhoto(blob.name.removeprefix(key.RAW_PREFIX), int(blob.size), blob.crc32c)
            for blob in found
            if not blob.name.endswith("/")
        ]

    def _upload(self, name: str, file: Path) -> None:
        kind = "image/png" if file.suffix.lower() == ".png" else "image/jpeg"
        blob = self._bucket.blob(key.RAW_PREFIX + name)
        blob.upload_from_string(file.read_bytes(), content_type=kind, timeout=TIMEOUT_SECONDS)

    def _delete(self, name: str) -> None:
        try:
            self._bucket.blob(key.RAW_PREFIX + name).delete(timeout=TIMEOUT_SECONDS)
        except NotFound:
            return

    @staticmethod
    def _each(
        pool: ThreadPoolExecutor,
        names: Iterable[str],
        work: Callable[[str], None],
        told: Callable[[int], None],
    ) -> None:
        for done, _ in enumerate(pool.map(work, names), start=1):
            told(done)

    @staticmethod
    def _path(uri: str) -> str:
        return uri.removeprefix(f"gs://{BUCKET}/")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one line."""
        try:
            yield
        except (GoogleAPICallError, requests.RequestException) as error:
            what = str(error).splitlines()[0][:200]
            raise DemoError(
                f"the object store at {self.address} failed: {what}; "
                "see `kubectl -n mlops-system logs deploy/object-store`"
            ) from error


def _said(count: int, todo: Changes) -> str:
    parts = [f"{count:,} pictures"]
    parts += [f"{len(todo.upload):,} uploaded"] if todo.upload else ["all there already"]
    parts += [f"{len(todo.delete):,} of another set removed"] if todo.delete else []
    return ", ".join(parts)
