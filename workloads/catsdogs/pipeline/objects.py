"""Objects of the bucket as they lie there: listed with all that a precondition needs, deleted only unchanged.
It must not know what the objects mean, nor which of them may go."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from typing import Any

from catsdogs import key
from catsdogs.pipeline import bucket as store

PINNED = "pinned"
FIELDS = "items(name,size,generation,metageneration,timeCreated,updated,md5Hash,metadata),nextPageToken"


@dataclass(frozen=True)
class Stored:
    """An object as it was listed: bytes, generations, when it was made and last changed (its metadata too), MD5 in
    hex ("" if none), its pin."""

    name: str
    size: int
    generation: int
    metageneration: int
    created: dt.datetime
    updated: dt.datetime
    md5: str = ""
    pinned: str = ""


def listed(bucket: Any, prefix: str) -> list[Stored]:
    """Every object below `prefix` as it is now, sorted by name. Raises StageError as bucket.list_raw does."""
    with store.explained(key.uri(bucket.name, prefix)):
        blobs = bucket.client.list_blobs(
            bucket, prefix=prefix, fields=FIELDS, timeout=store.TIMEOUT, retry=store.retry()
        )
        return sorted((_stored(blob) for blob in blobs), key=lambda stored: stored.name)


def _stored(blob: Any) -> Stored:
    return Stored(
        name=blob.name,
        size=int(blob.size or 0),
        generation=int(blob.generation),
        metageneration=int(blob.metageneration),
        created=blob.time_created,
        updated=blob.updated,
        md5=base64.b64decode(blob.md5_hash or "").hex(),
        pinned=str((blob.metadata or {}).get(PINNED, "")),
    )


def delete(bucket: Any, stored: Stored) -> bool:
    """Delete an object that still is as it was listed; False when it has changed. One that is gone is no failure."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    with store.explained(key.uri(bucket.name, stored.name)):
        try:
            bucket.blob(stored.name).delete(
                if_generation_match=stored.generation,
                if_metageneration_match=stored.metageneration,
                timeout=store.TIMEOUT,
                retry=store.retry(),
            )
        except NotFound as error:
            if store.bucket_is_missing(error):
                raise
        except PreconditionFailed:
            return False
    return True
