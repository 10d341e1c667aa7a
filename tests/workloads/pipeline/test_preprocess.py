"""The arrays hold what the server would see of the same photographs, row by row in the manifest's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from catsdogs import images, key
from catsdogs.errors import Exit, StageError
from catsdogs.model import sha256_of
from catsdogs.pipeline import decoded, ingest, preprocess, raw
from catsdogs.pipeline.workspace import INGESTED, PROCESSED, SPLITS, read_json, write_json

SIZE = 32


def test_each_row_is_the_servers_decode_of_its_photograph(workspace: Path) -> None:
    manifest = read_json(PROCESSED / "manifest.json")
    for split in SPLITS:
        pixels, labels = preprocess.load_split(split)
        names = manifest["splits"][split]["names"]

        assert (pixels.dtype, labels.dtype, tuple(pixels.shape)) == (
            torch.uint8,
            torch.int64,
            (len(names), 3, SIZE, SIZE),
        )
        assert [key.CLASS_FOLDERS[label] for label in labels] == [name.split("/")[0] for name in names]
        for row, name in zip(pixels, names, strict=True):
            assert torch.equal(row, images.decode((raw.DEFAULT_FOLDER / name).read_bytes(), SIZE)), name


def test_every_accepted_photograph_is_in_the_split_that_ingest_gave_it(workspace: Path) -> None:
    photos = read_json(INGESTED / "manifest.json")["photos"]
    splits = read_json(PROCESSED / "manifest.json")["splits"]

    assert {split: content["names"] for split, content in splits.items()} == {
        split: [photo["name"] for photo in photos if photo["split"] == split] for split in SPLITS
    }


def test_again_gives_the_same_manifest_and_files(workspace: Path) -> None:
    before = read_json(PROCESSED / "manifest.json")
    preprocess.run()

    assert read_json(PROCESSED / "manifest.json") == before
    for content in before["splits"].values():
        assert content["sha256"] == {name: sha256_of(PROCESSED / name) for name in content["sha256"]}


def test_what_cannot_be_decoded_after_all_is_named_and_leaves_no_gap(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_json(PROCESSED / "manifest.json")["splits"]["train"]["names"]
    pixels, labels = (part.clone() for part in preprocess.load_split("train"))
    lost = before[3]
    bad, decode = (raw.DEFAULT_FOLDER / lost).read_bytes(), images.decode

    def refusing(data: bytes, size: int) -> torch.Tensor:
        if data == bad:
            raise images.BadImage("the JPEG data can't be decoded: broken")
        return decode(data, size)

    monkeypatch.setattr(images, "decode", refusing)
    monkeypatch.setattr(preprocess, "CHUNK", 16)
    preprocess.run()
    manifest = read_json(PROCESSED / "manifest.json")
    found, found_labels = preprocess.load_split("train")
    kept = [row for row in range(len(before)) if row != 3]

    assert manifest["rejected"] == [
        {"name": lost, "reason": "Corrupt", "detail": "the JPEG data can't be decoded: broken"}
    ]
    assert manifest["splits"]["train"]["names"] == [before[row] for row in kept]
    assert torch.equal(found, pixels[kept])
    assert torch.equal(found_labels, labels[kept])
    assert sorted(path.name for path in PROCESSED.iterdir()) == sorted(
        ["manifest.json", *(f"{split}{end}.npy" for split in SPLITS for end in ("", "-labels"))]
    )


def test_squares_that_ingest_left_are_used_and_give_the_same_files(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = {file.name: file.read_bytes() for file in PROCESSED.iterdir()}
    ingest.run()
    assert decoded.PIXELS.exists()
    monkeypatch.setattr(images, "decode", None)
    preprocess.run()

    assert {file.name: file.read_bytes() for file in PROCESSED.iterdir()} == anew
    assert not decoded.PIXELS.exists()
    assert not decoded.INDEX.exists()


@pytest.mark.parametrize("content", ["{", "{}", '{"dataVersion": "another", "size": 32, "names": []}'])
def test_squares_of_another_version_are_not_used(content: str, workspace: Path) -> None:
    before = read_json(PROCESSED / "manifest.json")
    decoded.INDEX.parent.mkdir(exist_ok=True)
    decoded.INDEX.write_text(content)
    preprocess.run()

    assert read_json(PROCESSED / "manifest.json") == before


def test_an_empty_split_ends_as_data_error(workspace: Path) -> None:
    manifest = read_json(INGESTED / "manifest.json")
    manifest["photos"] = [photo for photo in manifest["photos"] if photo["split"] != "val"]
    write_json(INGESTED / "manifest.json", manifest)
    with pytest.raises(StageError) as caught:
        preprocess.run()

    assert (caught.value.code, caught.value.message) == (
        Exit.DATA_ERROR,
        "no photograph of the val split can be decoded",
    )


def test_a_split_of_which_nothing_can_be_decoded_ends_as_data_error(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(data: bytes, size: int) -> torch.Tensor:
        raise images.BadImage("broken")

    monkeypatch.setattr(images, "decode", refusing)
    with pytest.raises(StageError) as caught:
        preprocess.run()

    assert (caught.value.code, caught.value.message) == (
        Exit.DATA_ERROR,
        "no photograph of the train split can be decoded",
    )


def test_reading_a_split_leaves_its_file_as_it_is(workspace: Path) -> None:
    before = sha256_of(PROCESSED / "val.npy")
    pixels, _ = preprocess.load_split("val")
    pixels[0] = 0

    assert sha256_of(PROCESSED / "val.npy") == before
    assert np.load(PROCESSED / "val.npy")[0].any()
