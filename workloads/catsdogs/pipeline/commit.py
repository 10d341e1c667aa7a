"""A model's version gets into the bucket whole or not at all, whoever is killed and whoever else publishes it.
It must not know what the files mean, and never changes a version that is published.

All files are staged under a name of their own first. Then one object, the commit record, is made where there must
be none: from then on it is settled which files the version has, and anybody can finish it, any number of times, by
copying what the record names and closing it with model.json. Files written to their place at once would not do:
of two runs with different weights (a time limit ends trainings anywhere) the slower would overwrite model.pt under
the other's model.json, with every upload guarded by what it saw before.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.workspace import write_json

CLOSING = "model.json"
RECORD = "publish/commit.json"  # below the version's checkpoints, which go when it is published


def published(bucket: Any, version: str) -> dict[str, Any] | None:
    """The model.json of a published version, or None."""
    return _json(bucket, key.model_prefix(version) + CLOSING)


def publish(
    bucket: Any, version: str, files: Mapping[str, Path], described: Mapping[str, Any], work: Path
) -> dict[str, Any]:
    """Make `files` (path in the version to local file) and `described` the version, unless another one is first.

    Returns the model.json of the one that is. `work` is a local folder for small files.
    """
    scratch = key.checkpoint_prefix(version)
    staged = f"{scratch}publish/{uuid.uuid4().hex}/"
    store.together(lambda item: store.upload(bucket, staged + item[0], item[1]), files.items())
    record = work / "commit.json"
    write_json(record, {"staged": staged, "files": sorted(files), "described": described})
    store.upload(bucket, scratch + RECORD, record, once=True)
    if (whole := finish(bucket, version, work)) is None:
        raise _lost(bucket, version)
    return whole


def finish(bucket: Any, version: str, work: Path) -> dict[str, Any] | None:
    """Carry out the commit record of a version, if it has one; returns its model.json, or None when it has none."""
    # In this order: a record goes only after its version is there, so one read before "not there" was the first.
    record = _json(bucket, key.checkpoint_prefix(version) + RECORD)
    if (first := published(bucket, version)) is not None or record is None:
        return first
    target = key.model_prefix(version)
    if all(store.together(lambda name: _copy(bucket, record["staged"] + name, target + name), record["files"])):
        write_json(work / CLOSING, record["described"])
        store.upload(bucket, target + CLOSING, work / CLOSING, once=True)
    # Else somebody else has finished it, and cleaned up, in between.
    if (whole := published(bucket, version)) is None:
        raise _lost(bucket, version)
    return whole


def _lost(bucket: Any, version: str) -> StageError:
    scratch = key.uri(bucket.name, key.checkpoint_prefix(version))
    return StageError(
        Exit.UNAVAILABLE,
        f"{scratch}publish/ was emptied before the version was published",
        "run again; nothing else may delete there during a run",
    )


def _json(bucket: Any, path: str) -> dict[str, Any] | None:
    content = store.download_if_there(bucket, path)
    return None if content is None else dict(json.loads(content))


def _copy(bucket: Any, source: str, target: str) -> bool:
    """Copy within the bucket; False when the source is not there (anymore)."""
    from google.api_core.exceptions import NotFound

    with store.explained(key.uri(bucket.name, source)):
        try:
            bucket.copy_blob(bucket.blob(source), bucket, target, timeout=store.TIMEOUT, retry=store.retry())
        except NotFound:
            return False
    return True
