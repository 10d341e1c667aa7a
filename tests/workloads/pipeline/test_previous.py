"""What a version inherits from the one before: the same again for the same photographs, the splits for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catsdogs.pipeline import previous
from catsdogs.pipeline.workspace import EDA, INGESTED, PREVIOUS, read_json, write_json

MANIFEST = {
    "dataVersion": "d2",
    "rawHash": "r2",
    "photos": [{"sha256": "a", "split": "train"}, {"sha256": "b", "split": "val"}],
}
INHERITED: dict[str, Any] = {"inheritedFrom": "d1", "photos": {"a": "train", "gone": "test"}, "summary": None}


def workspace(summary: dict[str, Any] | None = None) -> None:
    write_json(INGESTED / "manifest.json", MANIFEST)
    write_json(INGESTED / previous.NAME, INHERITED)
    if summary is not None:
        write_json(EDA / "summary.json", summary)


def test_a_first_version_inherits_nothing(empty: Path) -> None:
    previous.write("r1")

    assert read_json(PREVIOUS) == {"inheritedFrom": None, "photos": {}, "summary": None}


def test_the_same_photographs_inherit_the_same_again(empty: Path) -> None:
    workspace({"dataVersion": "d2"})
    previous.write("r2")

    assert read_json(PREVIOUS) == INHERITED


def test_other_photographs_inherit_all_splits_ever_given(empty: Path) -> None:
    workspace({"dataVersion": "d2", "brightness": 0.5})
    previous.write("r3")

    assert read_json(PREVIOUS) == {
        "inheritedFrom": "d2",
        "photos": {"a": "train", "b": "val", "gone": "test"},
        "summary": {"dataVersion": "d2", "brightness": 0.5},
    }


def test_an_eda_of_another_version_is_nothing_to_compare_with(empty: Path) -> None:
    workspace({"dataVersion": "d1"})
    previous.write("r3")

    assert read_json(PREVIOUS)["summary"] is None
