"""What becomes of raw photographs: accepted once, set aside with a reason, written whole and in the same order."""

from __future__ import annotations

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from catsdogs import key
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import ingest, previous, raw, shards
from catsdogs.pipeline.decoded import Kept
from catsdogs.pipeline.ingest import Packed
from catsdogs.pipeline.photos import Reject
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import INGESTED, SPLITS, read_json
from demo.drawings import draw
from tests.workloads.pipeline.conftest import DRAWINGS, listed, picture, scene


def pack(photos: dict[str, bytes]) -> Packed:
    """Pack into data/ingested of the current folder."""
    INGESTED.mkdir(parents=True, exist_ok=True)
    with Kept(32) as kept:
        return ingest.pack(listed(photos), photos.__getitem__, 32, kept, Progress("ingest"))


def list_and_ingest() -> str:
    """The stages raw and ingest; returns the raw hash."""
    digest = raw.write_manifest(raw.list_photos())
    previous.write(digest)
    ingest.run()
    return digest


def test_the_second_of_two_equal_photographs_is_a_duplicate(tmp_path: Path) -> None:
    photos, rejects = pack({"Cat/1.jpg": picture(), "Cat/2.jpg": picture(), "Dog/1.jpg": picture()}, tmp_path / "a")

    assert [photo.name for photo in photos] == ["Cat/1.jpg"]
    assert rejects == [
        Reject("Cat/2.jpg", "Duplicate", "same bytes as Cat/1.jpg"),
        Reject("Dog/1.jpg", "Duplicate", "same bytes as Cat/1.jpg"),
    ]


def test_shards_hold_the_accepted_bytes_and_no_time_or_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SHARD_BYTES", 2500)
    given = {f"Cat/{shade}.jpg": picture(shade=shade) for shade in range(6)}
    photos, _ = pack({**given, "Cat/z.jpg": b"text"}, tmp_path / "a")
    pack({**given, "Cat/z.jpg": b"text"}, tmp_path / "b")
    shards = sorted((tmp_path / "a").glob("*.tar"))

    assert len(shards) > 1
    assert [file.read_bytes() for file in shards] == [(tmp_path / "b" / file.name).read_bytes() for file in shards]
    found = {}
    for photo in photos:
        with tarfile.open(tmp_path / "a" / photo.shard) as tar:
            content = tar.extractfile(photo.name)
            assert content is not None
            found[photo.name] = content.read()
    assert found == given


@pytest.mark.parametrize("name", [f"Cat/{'n' * 200}.jpg", f"Dog/{'d/' * 200}1.jpg", "Cat/Müller-猫.jpg"])
def test_long_and_foreign_names_are_kept(name: str, tmp_path: Path) -> None:
    photos, rejects = pack({name: picture()}, tmp_path / "a")
    with tarfile.open(tmp_path / "a" / photos[0].shard) as tar:
        assert (tar.getnames(), rejects) == ([name], [])


def test_split_depends_on_the_bytes_alone_and_has_its_shares() -> None:
    hashes = [sha256(str(number).encode()) for number in range(10_000)]
    shares = Counter(ingest.split_of(value) for value in hashes)

    # Four standard errors of 1,500 of 10,000 are 143.
    assert (abs(shares["val"] - 1500) < 143, abs(shares["test"] - 1500) < 143, sum(shares.values())) == (
        True,
        True,
        10_000,
    )
    edges = ["00000000", "b3333332", "b3333334", "d9999998", "d999999a", "ffffffff"]
    assert [ingest.split_of(edge) for edge in edges] == ["train", "train", "val", "val", "test", "test"]


def test_newcomers_and_new_names_never_move_an_old_photograph(tmp_path: Path) -> None:
    old = {f"Cat/{shade}.jpg": picture(shade=shade) for shade in range(20)}
    new = {f"Cat/again-{name[4:]}": data for name, data in old.items()}
    before, _ = pack(old, tmp_path / "a")
    after, _ = pack({**new, **{f"Cat/{n}.jpg": picture(shade=n) for n in range(20, 40)}}, tmp_path / "b")
    splits = {photo.sha256: photo.split for photo in after}

    assert {photo.sha256: photo.split for photo in before}.items() <= splits.items()


@pytest.mark.parametrize(
    ("folder", "message", "hint"),
    [
        ("Cat", "the raw folder holds no usable cat photograph", "put photographs into Cat/"),
        ("Dog", "the raw folder holds no usable dog photograph", "put photographs into Dog/"),
    ],
)
def test_a_missing_class_ends_as_data_error(folder: str, message: str, hint: str, empty: Path) -> None:
    draw(raw.DEFAULT_FOLDER, 40)
    for file in (raw.DEFAULT_FOLDER / folder).iterdir():
        file.unlink()
    raw.write_manifest(raw.list_photos())
    with pytest.raises(StageError) as caught:
        ingest.run()

    assert (caught.value.code, caught.value.message, caught.value.hint) == (Exit.DATA_ERROR, message, hint)


def test_too_few_photographs_name_the_empty_split() -> None:
    photos = [Photo("Cat/1.jpg", "cat", "train", "a", 1, 40, 40), Photo("Dog/1.jpg", "dog", "train", "b", 1, 40, 40)]
    with pytest.raises(StageError) as caught:
        ingest.check_enough(photos, [Reject("Dog/2.jpg", "TooSmall", "")])

    assert caught.value.message == (
        "too few photographs: of 2 none is a cat in the val split (1 set aside, the first: Dog/2.jpg: TooSmall)"
    )


def test_the_stage_keeps_every_drawing_and_names_every_reject(workspace: Path) -> None:
    (raw.DEFAULT_FOLDER / "Cat/zz.jpg").write_bytes(b"broken")
    (raw.DEFAULT_FOLDER / "Dog/zz.jpg").write_bytes((raw.DEFAULT_FOLDER / "Dog/0.jpg").read_bytes())
    before = read_json(INGESTED / "manifest.json")
    digest = raw.write_manifest(raw.list_photos())
    ingest.run()
    manifest = read_json(INGESTED / "manifest.json")

    assert manifest == {
        "rawHash": digest,
        "dataVersion": ingest.data_version(digest),
        "photos": before["photos"],
        "rejected": [
            {"name": "Cat/zz.jpg", "reason": "NotAPicture", "detail": "6 bytes that are neither JPEG nor PNG"},
            {"name": "Dog/zz.jpg", "reason": "Duplicate", "detail": "same bytes as Dog/0.jpg"},
        ],
    }
    assert len(manifest["photos"]) == DRAWINGS
    assert manifest["dataVersion"] != before["dataVersion"]


@pytest.mark.parametrize("change", ["other bytes", "gone"])
def test_a_photograph_that_changed_after_the_listing_stops_the_stage(change: str, workspace: Path) -> None:
    file = raw.DEFAULT_FOLDER / "Cat/3.jpg"
    if change == "gone":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data)
    with pytest.raises(StageError) as caught:
        ingest.run()

    assert (caught.value.code, caught.value.message.split(" was listed")[0]) == (Exit.DATA_CHANGED, "Cat/3.jpg")


def test_raw_manifest_of_a_folder_has_sizes_and_checksums_as_cloud_storage_gives_them(empty: Path) -> None:
    for name, data in {"Cat/1.jpg": b"123456789", "Cat/more/2.jpg": b"", "Dog/1.jpg": b"a"}.items():
        (empty / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (empty / "photos" / name).write_bytes(data)
    (empty / "photos" / "Birds").mkdir()

    # CRC-32C of "123456789" is e3069283 (RFC 3720 B.4 uses the same polynomial; this is its check value).
    assert raw.list_folder(empty / "photos") == [
        key.RawPhoto("Cat/1.jpg", 9, "4waSgw=="),
        key.RawPhoto("Cat/more/2.jpg", 0, "AAAAAA=="),
        key.RawPhoto("Dog/1.jpg", 1, "wdBDMA=="),
    ]


@pytest.mark.parametrize(
    ("made", "message"),
    [(False, "data/raw/ is not there"), (True, "data/raw/ holds no photographs")],
    ids=["no folder", "empty folder"],
)
def test_no_photographs_end_as_data_error(made: bool, message: str, empty: Path) -> None:
    if made:
        (empty / "data/raw/Cat").mkdir(parents=True)
    with pytest.raises(StageError) as caught:
        raw.list_photos()

    assert (caught.value.code, caught.value.message) == (Exit.DATA_ERROR, message)
