"""The pictures of a tar file in the bucket, one in memory at a time and none on disk.
It must not know what the pictures are for."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

from catsdogs import key
from catsdogs.pipeline import bucket as store

PIECE = 8 * 2**20  # bytes asked for at once


def entries(bucket: Any, path: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file in the tar, in its order.

    Raises FileNotFoundError when there is no such object, tarfile.TarError when it is damaged, and StageError as the
    bucket does.
    """
    from google.api_core.exceptions import NotFound

    with store.explained(key.uri(bucket.name, path)):
        try:
            with (
                bucket.blob(path).open("rb", chunk_size=PIECE, timeout=store.TIMEOUT, retry=store.retry()) as source,
                tarfile.open(fileobj=source, mode="r|") as tar,
            ):
                for entry in tar:
                    if (file := tar.extractfile(entry)) is not None:
                        yield entry.name, file.read()
                    tar.members = []  # type: ignore[attr-defined]  # or it remembers every entry it has seen
        except NotFound as error:
            if store.bucket_is_missing(error):
                raise
            raise FileNotFoundError(key.uri(bucket.name, path)) from error
