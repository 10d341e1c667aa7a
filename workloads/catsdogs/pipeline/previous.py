"""What the version of the data before this one decided: the split of every photograph it or its forerunners had.
It must not decide anything new; written beside the raw manifest, it makes ingest a function of its inputs alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import raw
from catsdogs.pipeline.workspace import EDA, INGESTED, PREVIOUS, read_json, write_json

NAME = "previous.json"
# "inheritedFrom": DATAVERSION or null; "photos": sha256 to split; "summary": its summary.json, for drift.
NONE: dict[str, Any] = {"inheritedFrom": None, "photos": {}, "summary": None}


def write(raw_hash: str, workspace: Path = Path()) -> None:
    """Write data/previous.json for the raw photographs of this hash.

    Where these very photographs were ingested before, it is what was inherited then, so that doing it again comes
    out the same and is taken from the cache. Otherwise the newest other version is inherited from.
    """
    kind, place = raw.source()
    found = _from_bucket(store.open_bucket(place), raw_hash) if kind == "bucket" else _from_folder(workspace, raw_hash)
    write_json(workspace / PREVIOUS, found, indent=None)


def _from_folder(workspace: Path, raw_hash: str) -> dict[str, Any]:
    """From data/ingested as it lies there, before DVC removes it to make it anew."""
    try:
        manifest = read_json(workspace / INGESTED / "manifest.json")
        inherited = read_json(workspace / INGESTED / NAME)
    except (OSError, ValueError):
        return NONE
    if manifest["rawHash"] == raw_hash:
        return dict(inherited)
    try:
        summary = read_json(workspace / EDA / "summary.json")
    except (OSError, ValueError):
        summary = None
    same = summary is not None and summary["dataVersion"] == manifest["dataVersion"]
    return inherit(manifest, inherited, summary if same else None)


def _from_bucket(bucket: Any, raw_hash: str) -> dict[str, Any]:
    """From the published versions. Only those with an EDA count: before it nothing can have been trained on one."""
    closing = "eda/summary.json"
    summaries = [
        json.loads(content)
        for name in store.list_newest_first(bucket, key.DATASETS_PREFIX, closing, before=key.RAW_PREFIX)
        if (content := store.download_if_there(bucket, name)) is not None
    ]
    known = [summary for summary in summaries if "rawHash" in summary]
    for summary in known:
        if summary["rawHash"] == raw_hash:
            return _ingested(bucket, summary, NAME)
    if not known:
        return NONE
    newest = known[0]
    return inherit(_ingested(bucket, newest, "manifest.json"), _ingested(bucket, newest, NAME), newest)


def _ingested(bucket: Any, summary: dict[str, Any], name: str) -> dict[str, Any]:
    prefix = key.data_prefix(summary["dataVersion"], "ingested")
    return dict(json.loads(store.download(bucket, prefix + name)))


def inherit(manifest: dict[str, Any], inherited: dict[str, Any], summary: dict[str, Any] | None) -> dict[str, Any]:
    """What the successor of `manifest` inherits: its splits, and those of all photographs that were there before it.

    A photograph that was taken out and comes back finds its old split.
    """
    splits = {photo["sha256"]: photo["split"] for photo in manifest["photos"]}
    return {
        "inheritedFrom": manifest["dataVersion"],
        "photos": {**inherited["photos"], **splits},
        "summary": summary,
    }
