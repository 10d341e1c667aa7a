"""`catsdogs evalset VERSION`: the test split of a published version's data as a frozen evaluation set for the gate.
It must not choose pictures: the split of ingest is what no model of this data was trained on."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from catsdogs import key
from catsdogs.commands.table import table
from catsdogs.errors import Exit, config_error
from catsdogs.gate import evalset as sets
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import history, objects


def evalset(options: argparse.Namespace) -> int:
    """Freeze and print the digest, for spec.gate.evalSet; with --list, print the sets that are there."""
    bucket = store.open_bucket(options.bucket)
    if options.list:
        print(listed(bucket))
        return Exit.OK
    if not options.version:
        raise config_error("which version's test split?", "name a VERSION, or --list; catsdogs versions lists them")
    data_version = history.published(bucket, options.version)["lineage"]["dataVersion"]
    found = sets.freeze(bucket, data_version)
    print(f"{_counted(found)}, the test split of data version {data_version}", file=sys.stderr)
    print(found.digest)
    return Exit.OK


def listed(bucket: Any) -> str:
    """The whole sets of the bucket, the newest first; one that is not what its digest says is named as damaged."""
    stored = [one for one in objects.listed(bucket, key.EVALSETS_PREFIX) if one.name.endswith(f"/{sets.MANIFEST}")]
    stored.sort(key=lambda one: one.created, reverse=True)
    rows = [["digest", "frozen", "pictures"]]
    for one in stored:
        digest = one.name.removeprefix(key.EVALSETS_PREFIX).partition("/")[0]
        try:
            what = _counted(sets.read(bucket, digest))
        except sets.MismatchError as error:
            what = f"damaged: {error.message}"
        rows.append([digest, f"{one.created:%Y-%m-%d %H:%M}", what])
    return table(rows)


def _counted(found: sets.EvalSet) -> str:
    counts = Counter(photo.label for photo in found.photos)
    return ", ".join(f"{counts[label]:,} {label}s" for label in key.CLASSES)
