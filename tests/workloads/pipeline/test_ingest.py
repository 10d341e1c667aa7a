"""What becomes of raw photographs: accepted once, set aside with a reason, written whole and in the same order."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import yaml
from PIL import Image

from catsdogs import images, key
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import ingest, photos, previous, raw, shards
from catsdogs.pipeline.decoded import Kept
from catsdogs.pipeline.ingest import Packed
from catsdogs.pipeline.photos import Reject
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import INGESTED, SPLITS, read_json
from demo.drawings import draw
from tests.workloads.pipeline.conftest import DRAWINGS, encoded, listed, picture, scene


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


@pytest.mark.parametrize("again", ["Cat/2.jpg", "Cat/more/1.jpg"])
def test_the_second_of_two_equal_photographs_is_a_duplicate(again: str, empty: Path) -> None:
    packed = pack({"Cat/1.jpg": picture(), again: picture()})

    assert [photo.name for photo in packed.photos] == ["Cat/1.jpg"]
    assert packed.rejects == [Reject(again, "Duplicate", "same bytes as Cat/1.jpg")]


def test_shards_hold_the_accepted_bytes_and_no_time_or_owner(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 2500)
    given = {f"Cat/{seed}.jpg": encoded(scene(seed)) for seed in range(6)}
    packed = pack({**given, "Cat/z.jpg": b"text"})
    first = {file.name: file.read_bytes() for file in INGESTED.glob("*.tar")}
    os.utime(INGESTED / "shard-00000.tar", (0, 0))
    pack({**given, "Cat/z.jpg": b"text"})

    assert len(first) > 1
    assert {file.name: file.read_bytes() for file in INGESTED.glob("*.tar")} == first
    assert dict(shards.read(INGESTED, sorted(first))) == given
    for name, (shard, _, _) in packed.shards.place.items():
        assert name in dict(shards.read(INGESTED, [shard]))


def test_dropping_from_a_shard_keeps_the_others_as_they_were(empty: Path) -> None:
    given = {f"Cat/{seed}.jpg": encoded(scene(seed)) for seed in range(3)}
    pack(given).shards.drop(["Cat/1.jpg", "never there"])

    assert dict(shards.read(INGESTED, ["shard-00000.tar"])) == {
        name: given[name] for name in ("Cat/0.jpg", "Cat/2.jpg")
    }
    pack(given).shards.drop(["Cat/2.jpg", "Cat/0.jpg", "Cat/1.jpg"])
    assert list(INGESTED.iterdir()) == []


@pytest.mark.parametrize("name", [f"Cat/{'n' * 200}.jpg", f"Dog/{'d/' * 200}1.jpg", "Cat/Müller-猫.jpg"])
def test_long_and_foreign_names_are_kept(name: str, empty: Path) -> None:
    packed = pack({name: picture()})
    with tarfile.open(INGESTED / "shard-00000.tar") as tar:
        assert (tar.getnames(), packed.rejects) == ([name], [])


def test_the_same_bytes_in_both_classes_are_in_none(empty: Path) -> None:
    packed = pack({"Cat/1.jpg": picture(), "Cat/2.jpg": encoded(scene(2)), "Dog/1.jpg": picture()})
    manifest, _ = ingest.decide(packed, np.empty((2, 16, 16), np.uint8), {})
    packed.shards.drop([reject["name"] for reject in manifest["rejected"]])

    assert manifest["rejected"] == [
        {
            "name": "Cat/1.jpg",
            "reason": "ConflictingLabels",
            "detail": "same bytes as Dog/1.jpg, which is in the other class",
        },
        {
            "name": "Dog/1.jpg",
            "reason": "ConflictingLabels",
            "detail": "same bytes as Cat/1.jpg, which is in the other class",
        },
    ]
    assert [photo["name"] for photo in manifest["photos"]] == ["Cat/2.jpg"]
    assert list(dict(shards.read(INGESTED, ["shard-00000.tar"]))) == ["Cat/2.jpg"]


@pytest.mark.parametrize(
    ("folder", "message", "hint"),
    [
        ("Cat", "the raw folder holds no usable cat photograph", "put photographs into Cat/"),
        ("Dog", "the raw folder holds no usable dog photograph", "put photographs into Dog/"),
    ],
)
@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "no folder"])
def test_a_missing_class_ends_as_data_error(there: bool, folder: str, message: str, hint: str, empty: Path) -> None:
    draw(raw.DEFAULT_FOLDER, 8)
    for file in (raw.DEFAULT_FOLDER / folder).iterdir():
        file.unlink()
    if not there:
        (raw.DEFAULT_FOLDER / folder).rmdir()
    with pytest.raises(StageError) as caught:
        list_and_ingest()

    assert (caught.value.code, caught.value.message, caught.value.hint) == (Exit.DATA_ERROR, message, hint)


def put(photos: dict[str, bytes]) -> None:
    for name, data in photos.items():
        (raw.DEFAULT_FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (raw.DEFAULT_FOLDER / name).write_bytes(data)


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        ({"Cat/1.jpg": picture()}, "the raw folder holds no usable dog photograph"),
        (
            {f"{folder}/{n}.jpg": picture() for folder in key.CLASS_FOLDERS for n in range(9)},
            "the raw folder holds no usable cat photograph (18 set aside, the first: Cat/0.jpg: ConflictingLabels)",
        ),
        (
            {
                f"{folder}/{n}.jpg": encoded(scene(seed))
                for n in range(9)
                for seed, folder in enumerate(key.CLASS_FOLDERS)
            },
            "too few photographs: of 2 none is a cat in the val split (16 set aside, the first: Cat/1.jpg: Duplicate)",
        ),
        (
            {f"{folder}/{n}.jpg": b"" for folder in key.CLASS_FOLDERS for n in range(9)},
            "the raw folder holds no usable cat photograph (18 set aside, the first: Cat/0.jpg: NotAPicture)",
        ),
    ],
    ids=["one photograph", "one photograph everywhere", "one photograph a class", "empty files"],
)
def test_what_no_model_can_learn_from_ends_as_data_error(photos: dict[str, bytes], message: str, empty: Path) -> None:
    put(photos)
    with pytest.raises(StageError) as caught:
        list_and_ingest()

    assert (caught.value.code, caught.value.message) == (Exit.DATA_ERROR, message)


def test_the_smallest_set_has_one_of_each_class_in_each_split(empty: Path) -> None:
    draw(raw.DEFAULT_FOLDER, 6)
    list_and_ingest()
    photos = read_json(INGESTED / "manifest.json")["photos"]

    assert sorted((photo["split"], photo["label"]) for photo in photos) == sorted(
        (split, label) for split in SPLITS for label in key.CLASSES
    )


def test_the_stage_keeps_every_drawing_and_names_every_reject(workspace: Path) -> None:
    before = read_json(INGESTED / "manifest.json")
    first = raw.DEFAULT_FOLDER / "Dog/0.jpg"
    with Image.open(first) as opened:
        smaller = opened.resize((130, 130))
    put(
        {
            "Cat/zz.jpg": b"broken",
            "Cat/notes.txt": b"text",
            "readme.md": b"text",
            "Dog/zy.jpg": encoded(smaller),
            "Dog/zz.jpg": first.read_bytes(),
        }
    )
    Path(os.fsdecode(bytes(raw.DEFAULT_FOLDER / "Dog") + b"/\xff.jpg")).write_bytes(picture())
    digest = list_and_ingest()
    manifest = read_json(INGESTED / "manifest.json")
    lookalikes = manifest.pop("lookalikes")
    distance, correlation = lookalikes[0]["distance"], lookalikes[0]["correlation"]

    assert manifest == {
        "rawHash": digest,
        "dataVersion": ingest.data_version(digest, 32, before["dataVersion"]),
        "inheritedFrom": before["dataVersion"],
        "photos": before["photos"],
        "groups": before["groups"],
        "rejected": [
            {"name": "Cat/notes.txt", "reason": "BadName", "detail": photos.BAD_NAME},
            {"name": "Cat/zz.jpg", "reason": "NotAPicture", "detail": "6 bytes that are neither JPEG nor PNG"},
            {"name": "Dog/\\xff.jpg", "reason": "BadName", "detail": photos.BAD_CHARACTERS},
            {
                "name": "Dog/zy.jpg",
                "reason": "NearDuplicate",
                "detail": f"same picture as Dog/0.jpg (hash distance {distance} of 63, correlation {correlation:.3f})",
            },
            {"name": "Dog/zz.jpg", "reason": "Duplicate", "detail": "same bytes as Dog/0.jpg"},
            {"name": "readme.md", "reason": "BadName", "detail": photos.BAD_NAME},
        ],
    }
    assert len(manifest["photos"]) == DRAWINGS
    assert lookalikes == [{"names": ["Dog/0.jpg", "Dog/zy.jpg"], "distance": ANY, "correlation": ANY}]
    pictures = np.load(INGESTED / "lookalikes.npy")
    assert [
        np.array_equal(picture, seen(name)) for picture, name in zip(pictures[0], lookalikes[0]["names"], strict=True)
    ] == [
        True,
        True,
    ]
    assert dict(shards.read(INGESTED, ["shard-00000.tar"])).keys() == {photo["name"] for photo in manifest["photos"]}


def seen(name: str) -> Any:
    return images.decode((raw.DEFAULT_FOLDER / name).read_bytes(), 32).numpy()


def test_new_photographs_and_new_names_never_move_an_old_one(workspace: Path) -> None:
    before = {photo["sha256"]: photo["split"] for photo in read_json(INGESTED / "manifest.json")["photos"]}
    gone = raw.DEFAULT_FOLDER / "Cat/7.jpg"
    data = gone.read_bytes()
    (raw.DEFAULT_FOLDER / "Dog/5.jpg").rename(raw.DEFAULT_FOLDER / "Dog/renamed.jpg")
    put({f"Cat/new-{seed}.jpg": encoded(scene(seed)) for seed in range(30)})
    gone.unlink()
    list_and_ingest()
    gone.write_bytes(data)
    put({f"Cat/newer-{seed}.jpg": encoded(scene(100 + seed)) for seed in range(30)})
    list_and_ingest()
    after = {photo["sha256"]: photo["split"] for photo in read_json(INGESTED / "manifest.json")["photos"]}

    assert before.items() <= after.items()
    assert len(after) == DRAWINGS + 60


def test_again_with_the_same_photographs_gives_the_same_files(workspace: Path) -> None:
    put({"Cat/new.jpg": encoded(scene(1))})
    list_and_ingest()
    before = {file.name: file.read_bytes() for file in INGESTED.iterdir()}
    list_and_ingest()

    assert {file.name: file.read_bytes() for file in INGESTED.iterdir()} == before


def test_the_version_of_the_data_is_of_all_that_decides_it() -> None:
    versions = [
        ingest.data_version("a", 32, None),
        ingest.data_version("b", 32, None),
        ingest.data_version("a", 64, None),
        ingest.data_version("a", 32, "0123456789ab"),
    ]

    assert len({*versions, ingest.data_version("a", 32, None)}) == len(versions)


def test_dvc_runs_ingest_again_for_all_that_decides_the_version() -> None:
    stage = yaml.safe_load((Path(__file__).parents[3] / "dvc.yaml").read_text())["stages"]["ingest"]

    assert sorted(stage["deps"]) == sorted(
        ["data/previous.json", "data/raw-manifest.json", *(f"workloads/catsdogs/{name}.py" for name in ingest.CODE)]
    )
    assert stage["params"] == ["imageSize"]


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
    (empty / "photos" / "3.jpg").write_bytes(b"a")

    # CRC-32C of "123456789" is e3069283 (RFC 3720 B.4 uses the same polynomial; this is its check value).
    assert raw.list_folder(empty / "photos") == [
        key.RawPhoto("3.jpg", 1, "wdBDMA=="),
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


def test_a_folder_without_cats_and_dogs_is_not_read(empty: Path) -> None:
    put({"other/1.jpg": b"a"})
    (empty / "data/raw/dangling").symlink_to("nowhere")
    with pytest.raises(StageError) as caught:
        raw.list_photos()

    assert (caught.value.code, caught.value.message) == (Exit.DATA_ERROR, "data/raw/ holds no photographs")


def test_a_file_that_cannot_be_read_is_named(empty: Path) -> None:
    put({"Cat/1.jpg": b"a"})
    (empty / "data/raw/Cat/2.jpg").symlink_to("nowhere")
    with pytest.raises(StageError) as caught:
        raw.list_photos()

    assert (caught.value.code, caught.value.message) == (
        Exit.DATA_ERROR,
        "raw/Cat/2.jpg can't be read: No such file or directory",
    )
