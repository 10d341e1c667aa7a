"""What garbage collection may take from a bucket, written out object by object."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from catsdogs.pipeline.objects import Stored
from catsdogs.pipeline.retention import Inventory, Plan, Policy, Version, keep, plan

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
OLD, OLDER, YOUNG = NOW - dt.timedelta(days=8), NOW - dt.timedelta(days=9), NOW - dt.timedelta(hours=2)
POLICY = Policy(newest=1, before=NOW - dt.timedelta(days=1))


def stored(name: str, when: dt.datetime = OLD, md5: str = "") -> Stored:
    return Stored(name, size=10, generation=1, metageneration=1, created=when, updated=when, md5=md5)


def model(version: str, when: dt.datetime = OLD) -> list[Stored]:
    names = ("dvc.lock", "evaluation/metrics.json", "model.json", "model.pt")
    return [stored(f"models/cats-dogs/{version}/{name}", when) for name in names]


def data(version: str, md5: str, when: dt.datetime = OLD) -> list[Stored]:
    prefix = f"datasets/cats-dogs/{version}"
    return [
        stored(f"{prefix}/eda/summary.json", when),
        stored(f"{prefix}/ingested/manifest.json", when),
        stored(f"{prefix}/ingested/shard-00000.tar", when, md5),
    ]


def version(name: str, data_version: str, when: dt.datetime, *needs: str) -> Version:
    return Version(name, f"sha-of-{name}", data_version, when, frozenset(needs))


def cached(digest: str, when: dt.datetime = OLD) -> Stored:
    return stored(f"dvc/files/md5/{digest[:2]}/{digest[2:]}", when, digest.removesuffix(".dir"))


# v1 of data d1 and v2 of data d2 share the file "common"; each has a model, a folder and a file of its own.
INVENTORY = Inventory(
    versions=(
        version("v1", "d1", OLDER, "dir1.dir", "tar1", "common", "pt1"),
        version("v2", "d2", OLD, "dir2.dir", "tar2", "common", "pt2"),
    ),
    models={"v1": model("v1", OLDER), "v2": model("v2")},
    data={"d1": data("d1", "tar1", OLDER), "d2": data("d2", "tar2")},
    checkpoints={"v1": [stored("checkpoints/cats-dogs/v1/checkpoint.pt")]},
    cache={d: cached(d) for d in ("dir1.dir", "tar1", "common", "pt1", "dir2.dir", "tar2", "pt2")},
    folders={"dir1.dir": frozenset({"tar1", "common"}), "dir2.dir": frozenset({"tar2", "common"})},
    run_cache=(
        (stored("dvc/runs/i1"), frozenset({"dir1.dir"})),
        (stored("dvc/runs/t1"), frozenset({"pt1"})),
        (stored("dvc/runs/i2"), frozenset({"dir2.dir"})),
    ),
)


def gone(found: Plan) -> list[tuple[str, list[str]]]:
    return [(removal.kind, [one.name for one in removal.objects]) for removal in found.removals]


def but(**changed: Any) -> Inventory:
    return dataclasses.replace(INVENTORY, **changed)


def test_an_old_version_goes_references_first() -> None:
    assert gone(plan(INVENTORY, POLICY)) == [
        (
            "version",
            [
                "models/cats-dogs/v1/model.json",
                "models/cats-dogs/v1/dvc.lock",
                "models/cats-dogs/v1/evaluation/metrics.json",
                "models/cats-dogs/v1/model.pt",
            ],
        ),
        ("checkpoint", ["checkpoints/cats-dogs/v1/checkpoint.pt"]),
        (
            "data",
            [
                "datasets/cats-dogs/d1/eda/summary.json",
                "datasets/cats-dogs/d1/ingested/manifest.json",
                "datasets/cats-dogs/d1/ingested/shard-00000.tar",
            ],
        ),
        ("run cache", ["dvc/runs/i1", "dvc/runs/t1"]),
        ("cached folders", ["dvc/files/md5/di/r1.dir"]),
        ("cached files", ["dvc/files/md5/pt/1", "dvc/files/md5/ta/r1"]),
    ]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (dataclasses.replace(POLICY, newest=2), "one of the newest 2"),
        (dataclasses.replace(POLICY, named=frozenset({"v1"})), "named"),
        (dataclasses.replace(POLICY, served='{"uri": "gs://b/models/cats-dogs/v1/model.pt"}'), "served"),
        (dataclasses.replace(POLICY, served='{"lastGood": {"sha256": "sha-of-v1"}}'), "served"),
        (dataclasses.replace(POLICY, before=OLDER), "young"),
    ],
    ids=["newest", "named", "served by name", "served by digest", "young"],
)
def test_a_version_that_is_wanted_stays_with_all_that_it_needs(policy: Policy, reason: str) -> None:
    found = plan(INVENTORY, policy)

    assert found.kept["v1"] == reason
    assert [removal.kind for removal in found.removals] in ([], ["checkpoint"])


def test_a_pinned_version_stays() -> None:
    pinned = dataclasses.replace(INVENTORY.versions[0], pinned="the paper's model")

    assert keep(but(versions=(pinned, INVENTORY.versions[1])), POLICY) == {
        "v1": "pinned: the paper's model",
        "v2": "one of the newest 1",
    }


def test_nothing_is_kept_of_its_age_with_keep_0_but_the_newest_data() -> None:
    found = plan(INVENTORY, dataclasses.replace(POLICY, newest=0))

    assert found.kept == {}
    assert [(removal.kind, removal.name) for removal in found.removals] == [
        ("version", "v1"),
        ("version", "v2"),
        ("checkpoint", "v1"),
        ("data", "d1"),
        ("run cache", "dvc/"),
        ("cached folders", "dvc/"),
        ("cached files", "dvc/"),
    ]
    assert "dvc/files/md5/ta/r2" not in dict(gone(found))["cached files"], "a run may still have d2 from the cache"


def test_half_a_version_goes_when_it_is_old_and_stays_while_it_may_be_written() -> None:
    half = [stored("models/cats-dogs/v3/model.pt")]
    writing = [stored("models/cats-dogs/v4/evaluation/metrics.json", YOUNG), stored("models/cats-dogs/v4/dvc.lock")]

    found = plan(but(models={**INVENTORY.models, "v3": half, "v4": writing}), POLICY)

    assert [r.name for r in found.removals if r.kind == "version"] == ["v1", "v3"]


def test_data_that_a_run_has_used_lately_stays_with_its_cache() -> None:
    used = [dataclasses.replace(one, updated=YOUNG) if "manifest" in one.name else one for one in data("d1", "tar1")]

    found = plan(but(data={**INVENTORY.data, "d1": used}), POLICY)

    assert [removal.kind for removal in found.removals] == ["version", "checkpoint", "run cache", "cached files"]
    assert dict(gone(found))["cached files"] == ["dvc/files/md5/pt/1"]


def test_a_checkpoint_of_a_run_at_work_stays() -> None:
    writing = {"v9": [stored("checkpoints/cats-dogs/v9/checkpoint.pt", YOUNG)]}

    assert [r.name for r in plan(but(checkpoints=writing), POLICY).removals if r.kind == "checkpoint"] == []


def test_what_a_young_entry_of_the_run_cache_brings_back_stays() -> None:
    entries = ((stored("dvc/runs/i1", YOUNG), frozenset({"dir1.dir"})),)

    found = plan(but(run_cache=entries), POLICY)

    assert gone(found)[-1] == ("cached files", ["dvc/files/md5/pt/1"])
    assert "cached folders" not in dict(gone(found))


def test_an_entry_of_the_run_cache_whose_files_never_arrived_goes() -> None:
    entries = (*INVENTORY.run_cache, (stored("dvc/runs/x"), frozenset({"never-sent"})))

    assert "dvc/runs/x" in dict(gone(plan(but(run_cache=entries), POLICY)))["run cache"]


def test_data_and_cache_are_left_alone_when_a_staying_version_does_not_say_what_it_needs() -> None:
    silent = dataclasses.replace(INVENTORY.versions[1], needs=None)

    found = plan(but(versions=(INVENTORY.versions[0], silent)), POLICY)

    assert found.untold == ("v2",)
    assert {removal.kind for removal in found.removals} == {"version", "checkpoint"}
