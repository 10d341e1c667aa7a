"""A test photograph that was trained on ends the evaluation; a figure that may be an accident is said."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catsdogs import images
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import sanity
from catsdogs.pipeline.workspace import INGESTED, PROCESSED, read_json

GOOD = [[9, 1], [1, 9]]


def checked(matrix: list[list[int]] = GOOD) -> dict[str, Any]:
    return sanity.check(read_json(INGESTED / "manifest.json")["photos"], read_json(PROCESSED / "manifest.json"), matrix)


def names(split: str) -> list[str]:
    return list(read_json(PROCESSED / "manifest.json")["splits"][split]["names"])


def test_a_sound_evaluation_has_no_warnings(workspace: Path) -> None:
    found = checked()

    assert found["warnings"] == []
    assert found["permutationP"] == 0.000547  # (100 + 1) of 184,756 ways to deal out ten and ten labels
    assert found["nearestDistance"] > sanity.NEAR
    assert found["linearProbe"] > 0.5


def test_a_photograph_in_two_splits_is_an_error(workspace: Path) -> None:
    manifest = read_json(INGESTED / "manifest.json")
    test, train = (next(p for p in manifest["photos"] if p["split"] == split) for split in ("test", "train"))
    train["sha256"] = test["sha256"]
    (INGESTED / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(StageError) as caught:
        checked()
    assert (caught.value.code, caught.value.message) == (
        Exit.DATA_ERROR,
        f"{test['name']} of the test split has the same bytes as {train['name']} of train: "
        "the accuracy would be too good",
    )
    assert caught.value.hint == "keep one of the two in the raw folder, and start a new run"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_photograph_that_was_only_saved_anew_is_an_error(split: str, workspace: Path) -> None:
    file = io.BytesIO()
    size = np.load(PROCESSED / "test.npy", mmap_mode="r").shape[-1]
    Image.open(Path("data/raw") / names("test")[1]).save(file, "JPEG", quality=40)
    pixels = np.load(PROCESSED / f"{split}.npy", mmap_mode="r+")
    pixels[-1] = images.decode(file.getvalue(), size).numpy()
    pixels.flush()

    with pytest.raises(StageError) as caught:
        checked()
    assert (caught.value.code, caught.value.message) == (
        Exit.DATA_ERROR,
        f"{names('test')[1]} of the test split is nearly the same picture as {names(split)[-1]} of {split}: "
        "the accuracy would be too good",
    )


def test_two_different_photographs_are_not_near(workspace: Path) -> None:
    pixels = np.load(PROCESSED / "train.npy", mmap_mode="r+")
    pixels[0] = np.clip(np.load(PROCESSED / "test.npy")[0].astype(int) + 20, 0, 255)
    pixels.flush()

    assert checked()["nearestPair"] == [names("test")[0], f"{names('train')[0]} of train"]


def test_two_plain_surfaces_are_no_copies(workspace: Path) -> None:
    for split, shade in (("train", 100), ("test", 101)):
        pixels = np.load(PROCESSED / f"{split}.npy", mmap_mode="r+")
        pixels[0] = shade
        pixels.flush()

    assert names("test")[0] not in checked()["nearestPair"]


def test_a_model_that_is_no_better_than_chance_is_said(workspace: Path) -> None:
    assert checked([[5, 5], [5, 5]])["warnings"] == [
        "not better than chance: labels dealt out at random do as well with p = 0.672"
    ]


def test_labels_that_are_not_shuffled_after_all_are_said(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "shuffled", lambda values, _: values)
    found = checked()

    assert found["shuffledProbe"] == found["linearProbe"]
    assert found["warnings"] == [
        f"probes of shuffled labels score {found['shuffledProbe']}, not 0.5: "
        "something other than the pictures gives the labels away"
    ]
