"""`catsdogs gc`, `versions`, `pin` and `unpin`: what a bucket holds, and how it loses what nobody needs.
It must not delete without --yes and the served models, and never anything that changed since it was listed."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.commands.table import size, table
from catsdogs.errors import Exit, StageError, config_error, data_error
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import inventory, objects, retention
from catsdogs.pipeline.retention import Inventory, Plan, Policy, Removal

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SERVED_HINT = "kubectl get msrv -A -o json | catsdogs gc --served - …"


def gc(options: argparse.Namespace) -> int:
    """Print what would go; with --yes, delete it."""
    if options.yes and not options.served and not options.nothing_served:
        raise config_error(
            "which models are served is not known, so nothing is deleted", f"{SERVED_HINT} or --nothing-served"
        )
    served = "".join(read_served(source) for source in options.served)
    now = dt.datetime.now(dt.UTC)
    bucket = store.open_bucket(options.bucket)
    found = inventory.take(bucket)
    if unknown := sorted(set(options.keep_version) - {version.name for version in found.versions}):
        raise config_error(f"--keep-version {unknown[0]}: no such version", "catsdogs versions lists them")
    policy = Policy(options.keep, now - options.older_than, frozenset(options.keep_version), served)
    plan = retention.plan(found, policy)
    print(described(plan, found))
    if not options.served and not options.nothing_served:
        print(f"\nServed models are not known and would not be kept: {SERVED_HINT}")
    if not options.yes:
        print("\nNothing was deleted: --yes deletes." if plan.removals else "\nNothing to delete.")
        return Exit.OK
    for removal in plan.removals:
        remove(bucket, removal)
    print(f"\nDeleted {_total(plan)}.")
    return Exit.OK


def read_served(source: str) -> str:
    """The text of `kubectl get msrv -A -o json` from a file or "-", with TrainingRuns beside the servers if you like.

    Raises StageError 78 when it is something else.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        content = json.loads(text)
        items = content["items"] if content["kind"].endswith("List") else [content]
        kinds = {item["kind"] for item in items}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise config_error(f"--served {source}: not what kubectl prints: {error!r}"[:300], SERVED_HINT) from None
    if kinds - {"ModelServer", "TrainingRun"} or kinds == {"TrainingRun"}:
        raise config_error(f"--served {source}: it lists {', '.join(sorted(kinds))}", SERVED_HINT)
    return text


def described(plan: Plan, found: Inventory) -> str:
    """What stays and why, what goes and how many bytes that is."""
    rows = [["stays", "version", "published", "why"]]
    rows += [
        ["", version.name, f"{version.published:%Y-%m-%d %H:%M}", plan.kept[version.name]]
        for version in found.versions
        if version.name in plan.kept
    ]
    text = table(rows)
    if plan.removals:
        gone = [["goes", "what", "objects", "size"]]
        gone += [["", f"{r.kind} {r.name}", str(len(r.objects)), size(r.size)] for r in plan.removals]
        text += "\n\n" + table(gone, right=frozenset({2, 3})) + f"\n\n{_total(plan)} can go."
    if plan.untold:
        names = ", ".join(plan.untold)
        text += (
            f"\ndatasets/ and dvc/ are left alone: what {names} needs can't be told from its model.json and dvc.lock."
        )
    return text


def _total(plan: Plan) -> str:
    count = sum(len(removal.objects) for removal in plan.removals)
    return f"{count} objects of {size(sum(removal.size for removal in plan.removals))}"


def remove(bucket: Any, removal: Removal) -> None:
    """Delete the objects, closing ones before the others. Raises StageError 75 when one has changed meanwhile.

    Then nothing after it is deleted either: what changed may need it.
    """
    closing = [stored for stored in removal.objects if stored.name.rpartition("/")[2] in retention.CLOSING]
    others = [stored for stored in removal.objects if stored not in closing]
    with ThreadPoolExecutor(store.THREADS) as pool:
        for group in (closing, others):
            for stored, done in zip(group, pool.map(lambda one: objects.delete(bucket, one), group), strict=True):
                if not done:
                    raise StageError(
                        Exit.UNAVAILABLE,
                        f"{key.uri(bucket.name, stored.name)} changed while it was to be deleted, and stays",
                        "run it again: it looks anew at what is needed",
                    )


def versions(options: argparse.Namespace) -> int:
    """List the published versions, the newest first."""
    rows = [["version", "published", "accuracy", "data", "pinned"]]
    for stored, content in inventory.versions(store.open_bucket(options.bucket)):
        accuracy = content.get("metrics", {}).get("testAccuracy", "")
        data = content.get("lineage", {}).get("dataVersion", "")
        published = f"{stored.created:%Y-%m-%d %H:%M}"
        rows.append([stored.name.split("/")[-2], published, str(accuracy), str(data), stored.pinned])
    print(table(rows))
    return Exit.OK


def pin(options: argparse.Namespace) -> int:
    """Pin a version, or unpin it: a mark on its model.json, which the deletion's precondition sees."""
    text = options.reason if options.command == "pin" else None
    path = f"{key.model_prefix(options.version)}model.json"
    if not store.annotate(store.open_bucket(options.bucket), path, {objects.PINNED: text}):
        raise data_error(f"{key.uri(options.bucket, path)} is not there", "catsdogs versions lists them")
    print(f"{options.version} is {'pinned: gc keeps it' if text else 'no longer pinned'}")
    return Exit.OK


def duration(text: str) -> dt.timedelta:
    """30m, 12h, 1d as a timedelta. Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found:
        raise ValueError(f"{text}: not a time like 12h or 1d")
    return dt.timedelta(seconds=int(found[1]) * SECONDS[found[2]])


def count(text: str) -> int:
    """A whole number of 0 or more. Raises ValueError for anything else."""
    if not re.fullmatch(r"\d+", text):
        raise ValueError(f"{text}: not a number of versions")
    return int(text)
