"""What a bucket may lose: a pure function from what lies there, what is served and a policy to a list of removals.
It must not read or delete anything, and keeps whatever it can't tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from catsdogs import key
from catsdogs.pipeline.objects import Stored

CLOSING = ("model.json", "commit.json", "manifest.json", "summary.json")  # without it nothing refers to the others

# The newest data version with these parts stays, needed or not.
NEWEST = (("ingested", "manifest.json"), ("eda", "summary.json"))


@dataclass(frozen=True)
class Version:
    """A published version. `needs` are the MD5s in the DVC remote that restore it, None when what it needs, there or
    as data, can't be told."""

    name: str
    sha256: str
    data_version: str
    published: dt.datetime
    needs: frozenset[str] | None
    pinned: str = ""


@dataclass(frozen=True)
class Inventory:
    """A bucket: objects by version, data version and checkpoint's version, and what the DVC remote holds.

    `cache` is by MD5 (".dir" for a folder, whose files are in `folders`); `run_cache` has the MD5s that each
    entry would bring back.
    """

    versions: Sequence[Version]
    models: Mapping[str, Sequence[Stored]]
    data: Mapping[str, Sequence[Stored]]
    checkpoints: Mapping[str, Sequence[Stored]]
    cache: Mapping[str, Stored]
    folders: Mapping[str, frozenset[str]]
    run_cache: Sequence[tuple[Stored, frozenset[str]]]


@dataclass(frozen=True)
class Policy:
    """What to keep: the newest `newest` versions, those named, those that `served` mentions; nothing that changed
    after `before`."""

    newest: int
    before: dt.datetime
    named: frozenset[str] = frozenset()
    served: str = ""


@dataclass(frozen=True)
class Removal:
    """Objects that go together, the one that closes them first, so that half of them is never taken for all."""

    kind: str
    name: str
    objects: tuple[Stored, ...]

    @property
    def size(self) -> int:
        """Bytes that it frees."""
        return sum(stored.size for stored in self.objects)


@dataclass(frozen=True)
class Plan:
    """Versions that stay with the reason; removals in the order in which they are safe; what could not be told."""

    kept: Mapping[str, str]
    removals: tuple[Removal, ...]
    untold: tuple[str, ...] = field(default=())


def plan(inventory: Inventory, policy: Policy) -> Plan:
    """References go first, then what they refer to: versions, checkpoints, data, run cache, folders, files."""
    kept = keep(inventory, policy)
    staying = [version for version in inventory.versions if version.name in kept]
    models = {name: objects for name, objects in inventory.models.items() if name not in kept}
    removals = [*_folders("version", models, policy), *_folders("checkpoint", inventory.checkpoints, policy)]
    untold = tuple(version.name for version in staying if version.needs is None)
    if not untold:
        removals += _folders("data", _unneeded_data(inventory, staying), policy)
        removals += _unneeded_cache(inventory, staying, removals, policy)
    return Plan(kept, tuple(removals), untold)


def keep(inventory: Inventory, policy: Policy) -> dict[str, str]:
    """The versions that stay, each with the first reason that holds."""
    by_age = sorted(inventory.versions, key=lambda version: (version.published, version.name), reverse=True)
    newest = {version.name for version in by_age[: policy.newest]}
    kept = {}
    for version in by_age:
        if version.name in policy.served or (version.sha256 and version.sha256 in policy.served):
            kept[version.name] = "served"
        elif version.pinned:
            kept[version.name] = f"pinned: {version.pinned}"
        elif version.name in policy.named:
            kept[version.name] = "named"
        elif version.name in newest:
            kept[version.name] = f"one of the newest {policy.newest}"
        elif _young(inventory.models[version.name], policy):
            kept[version.name] = "young"
    return kept


def _young(objects: Iterable[Stored], policy: Policy) -> bool:
    return any(stored.updated >= policy.before for stored in objects)


def _folders(kind: str, groups: Mapping[str, Sequence[Stored]], policy: Policy) -> list[Removal]:
    return [
        Removal(kind, name, tuple(sorted(objects, key=_closing_first)))
        for name, objects in sorted(groups.items())
        if not _young(objects, policy)
    ]


def _closing_first(stored: Stored) -> tuple[bool, str]:
    return stored.name.rpartition("/")[2] not in CLOSING, stored.name


def _unneeded_data(inventory: Inventory, staying: Sequence[Version]) -> dict[str, Sequence[Stored]]:
    """Data versions of no version that stays. The newest always stays: the next ingest takes its splits over."""
    needed = {version.data_version for version in staying} | {
        max(closed)[1] for part, last in NEWEST if (closed := _closed(inventory.data, part, last))
    }
    return {name: objects for name, objects in inventory.data.items() if name not in needed}


def _closed(data: Mapping[str, Sequence[Stored]], part: str, last: str) -> list[tuple[dt.datetime, str]]:
    """When this part of each data version was closed, for those that have it."""
    return [
        (stored.created, name)
        for name, objects in data.items()
        for stored in objects
        if stored.name == key.data_prefix(name, part) + last
    ]


def _unneeded_cache(
    inventory: Inventory, staying: Sequence[Version], removals: Sequence[Removal], policy: Policy
) -> list[Removal]:
    """What is in no staying version, no staying data and no young entry of the run cache.

    The last two count since a run that began with them pushes only what the remote does not have.
    """
    gone = {stored.name for removal in removals if removal.kind == "data" for stored in removal.objects}
    needed = {digest for version in staying for digest in version.needs or ()}
    needed |= {s.md5 for objects in inventory.data.values() for s in objects if s.md5 and s.name not in gone}
    needed |= {digest for entry, outs in inventory.run_cache if _young([entry], policy) for digest in outs}
    needed = needed.union(*(inventory.folders.get(digest, ()) for digest in needed))
    needed |= {name for name, files in inventory.folders.items() if files and files <= needed}
    unneeded = {
        digest: stored
        for digest, stored in inventory.cache.items()
        if digest not in needed and not _young([stored], policy)
    }
    left = inventory.cache.keys() - unneeded.keys()
    entries = tuple(entry for entry, outs in inventory.run_cache if not outs <= left and not _young([entry], policy))
    folders = tuple(stored for digest, stored in sorted(unneeded.items()) if digest.endswith(".dir"))
    files = tuple(stored for digest, stored in sorted(unneeded.items()) if not digest.endswith(".dir"))
    groups = (("run cache", entries), ("cached folders", folders), ("cached files", files))
    return [Removal(kind, key.DVC_PREFIX + "/", objects) for kind, objects in groups if objects]
