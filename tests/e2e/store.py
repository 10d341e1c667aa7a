"""The cluster's object store, as the tests see it from the machine."""

import hashlib
import time
from pathlib import Path

import requests
from google.api_core.exceptions import Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

RAW = "datasets/cats-dogs/raw/"


class Store:
    """One bucket of the store, with drawings uploaded as raw photographs."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self.bucket = bucket
        self._client = storage.Client(
            project="local", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
        )

    def make_bucket(self, name: str) -> None:
        """Make a bucket unless it is there, waiting until the store answers."""
        until = time.monotonic() + 60
        while True:
            try:
                self._client.create_bucket(name)
            except Conflict:
                return
            except requests.ConnectionError:
                assert time.monotonic() < until, "the object store does not answer"
                time.sleep(0.5)
            else:
                return

    def upload_raw(self, folder: Path) -> None:
        """Upload Cat/*.jpg and Dog/*.jpg of a folder."""
        for file in sorted(folder.glob("*/*.jpg")):
            name = f"{RAW}{file.parent.name}/{file.name}"
            self._client.bucket(self.bucket).blob(name).upload_from_filename(str(file))

    def copy_raw(self, bucket: str, only: str, count: int) -> None:
        """Copy some raw photographs into another bucket."""
        for name in self.names(RAW + only)[:count]:
            content = self.read(name)
            self._client.bucket(bucket).blob(name).upload_from_string(content, content_type="image/jpeg")

    def names(self, prefix: str) -> list[str]:
        """The objects below a prefix."""
        return [blob.name for blob in self._client.list_blobs(self.bucket, prefix=prefix)]

    def read(self, name: str) -> bytes:
        """An object's content."""
        return self._client.bucket(self.bucket).blob(name).download_as_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Make or replace an object."""
        self._client.bucket(self.bucket).blob(name).upload_from_string(content)

    def sha256(self, name: str) -> str:
        """The SHA-256 of an object's content, in hex."""
        return hashlib.sha256(self.read(name)).hexdigest()
