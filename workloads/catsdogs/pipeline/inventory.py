"""What lies in a bucket, read for the garbage collection: versions, data, checkpoints and the DVC remote.
It must not decide what may go, and must not change anything."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from catsdogs import key
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import history, objects
from catsdogs.pipeline.objects import Stored
from catsdogs.pipeline.retention import Inventory, Version

FILES, RUNS = f"{key.DVC_PREFIX}/files/md5/", f"{key.DVC_PREFIX}/runs/"


def take(bucket: Any) -> Inventory:
    """List the bucket and read what refers to other objects. Raises StageError as the listing does."""
    models = _by_folder(objects.listed(bucket, key.MODELS_PREFIX), key.MODELS_PREFIX)
    cache = {stored.name.removeprefix(FILES).replace("/", "", 1): stored for stored in objects.listed(bucket, FILES)}
    folders = dict(
        store.together(lambda digest: (digest, _files_of(bucket, digest)), (d for d in cache if d.endswith(".dir")))
    )
    closed = [(name, closing) for name, found in models.items() if (closing := _model_json(name, found)) is not None]
    data = _by_folder(objects.listed(bucket, key.DATASETS_PREFIX), key.DATASETS_PREFIX)
    data.pop("raw", None)  # the photographs themselves are nobody's garbage
    return Inventory(
        versions=tuple(store.together(lambda one: _version(bucket, one[0], one[1], folders), closed)),
        models=models,
        data=data,
        checkpoints=_by_folder(objects.listed(bucket, key.CHECKPOINTS_PREFIX), key.CHECKPOINTS_PREFIX),
        cache=cache,
        folders=folders,
        run_cache=tuple(
            store.together(lambda entry: (entry, _brings_back(bucket, entry)), objects.listed(bucket, RUNS))
        ),
    )


def versions(bucket: Any) -> list[tuple[Stored, dict[str, Any]]]:
    """Each published version's model.json, as an object and as its content, the newest first."""
    models = _by_folder(objects.listed(bucket, key.MODELS_PREFIX), key.MODELS_PREFIX)
    closed = [stored for name, found in models.items() if (stored := _model_json(name, found)) is not None]
    closed.sort(key=lambda stored: stored.created, reverse=True)
    return list(store.together(lambda stored: (stored, json.loads(store.download(bucket, stored.name))), closed))


def _by_folder(listed: Iterable[Stored], prefix: str) -> dict[str, list[Stored]]:
    groups: dict[str, list[Stored]] = defaultdict(list)
    for stored in listed:
        folder, slash, _ = stored.name.removeprefix(prefix).partition("/")
        if slash:
            groups[folder].append(stored)
    return dict(groups)


def _model_json(version: str, found: Sequence[Stored]) -> Stored | None:
    closing = key.model_prefix(version) + "model.json"
    return next((stored for stored in found if stored.name == closing), None)


def _version(bucket: Any, name: str, closing: Stored, folders: Mapping[str, frozenset[str]]) -> Version:
    try:
        described = json.loads(store.download(bucket, closing.name))
        sha256, data_version = str(described["sha256"]), str(described["lineage"]["dataVersion"])
        outs = set(history.outs_of(history.lock_of(bucket, name)).values())
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        sha256, data_version, outs = "", "", set()
    listings = [folders.get(digest, frozenset()) for digest in outs if digest.endswith(".dir")]
    told = data_version and outs and all(listings)
    needs = frozenset(outs.union(*listings)) if told else None
    return Version(name, sha256, data_version, closing.created, needs, closing.pinned)


def _files_of(bucket: Any, digest: str) -> frozenset[str]:
    """The MD5s in a folder's listing; none when it can't be read, which keeps what it might name."""
    try:
        content = json.loads(store.download_if_there(bucket, history.cache_path(digest)) or b"[]")
        return frozenset(entry["md5"] for entry in content)
    except (ValueError, KeyError, TypeError):
        return frozenset()


def _brings_back(bucket: Any, entry: Stored) -> frozenset[str]:
    """The MD5s of a run cache entry; none when it can't be read."""
    try:
        content = yaml.safe_load(store.download_if_there(bucket, entry.name) or b"")
        return frozenset(out["md5"] for out in content["outs"])
    except (yaml.YAMLError, KeyError, TypeError):
        return frozenset()
