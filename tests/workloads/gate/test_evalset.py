"""Freezing an evaluation set: whole or not at all, once, and verified picture by picture when it is read."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from catsdogs import cli
from catsdogs.gate import evalset
from catsdogs.gate.evalset import MismatchError
from catsdogs.pipeline import bucket as store_client
from tests.workloads.gate import planted
from tests.workloads.gate.conftest import DATA, World, new_world
from tests.workloads.gate.planted import Picture
from tests.workloads.pod.conftest import Store

RANDOM = np.random.default_rng(0)
TEST = [
    Picture(f"{label.title()}/{number}.png", label, planted.png(planted.pixels(label, 0, RANDOM)))
    for label in ("cat", "dog")
    for number in range(3)
]
PICTURES = [*TEST, Picture("Dog/t.png", "dog", planted.png(planted.pixels("dog", 0, RANDOM)), "train")]
NUMBER = itertools.count()


@pytest.fixture
def small(store: Store, tmp_path: Path) -> World:
    """A bucket of the test's own with six test pictures and one that is not."""
    return new_world(store, tmp_path, f"sets-{next(NUMBER)}", PICTURES)


def test_a_set_holds_the_pictures_of_the_test_split_as_they_came(small: World) -> None:
    bucket = store_client.open_bucket(small.bucket)

    found = evalset.freeze(bucket, DATA)

    assert evalset.read(bucket, found.digest) == found
    assert [(photo.name, photo.label, data) for photo, data in evalset.pictures(bucket, found)] == [
        (picture.name, picture.label, picture.data) for picture in TEST
    ]


def test_a_set_is_written_once_by_however_many(small: World) -> None:
    def freeze(_: int) -> str:
        return evalset.freeze(store_client.open_bucket(small.bucket), DATA).digest

    with ThreadPoolExecutor(4) as pool:
        (digest,) = set(pool.map(freeze, range(4)))
    prefix = f"evalsets/{digest}/"
    blobs = {blob.name: blob.generation for blob in small.store.client.list_blobs(small.bucket, prefix=prefix)}
    freeze(0)

    assert blobs.keys() == {f"{prefix}manifest.json", f"{prefix}pictures.tar"}
    assert blobs == {blob.name: blob.generation for blob in small.store.client.list_blobs(small.bucket, prefix=prefix)}


def test_a_torn_publication_is_no_set_until_the_next_finishes_it(small: World) -> None:
    bucket = store_client.open_bucket(small.bucket)
    digest = evalset.freeze(bucket, DATA).digest
    small.delete(f"evalsets/{digest}/manifest.json")

    with pytest.raises(MismatchError, match="is not there"):
        evalset.read(bucket, digest)
    assert evalset.freeze(bucket, DATA).digest == digest
    assert len(list(evalset.pictures(bucket, evalset.read(bucket, digest)))) == 6


def packed(pictures: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in pictures:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def good() -> list[tuple[str, bytes]]:
    return [(picture.name, picture.data) for picture in TEST]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: packed(good()[:-1]), "1 pictures are missing, the first is Dog/2.png"),
        (lambda: packed([*good()[:-1], ("Dog/2.png", b"x")]), "Dog/2.png is not the picture that the manifest names"),
        (lambda: packed([*good(), good()[0]]), "Cat/0.png is not the picture that the manifest names"),
        (lambda: packed([*good(), ("Cat/9.png", b"x")]), "Cat/9.png is not the picture that the manifest names"),
        (lambda: packed(good())[:2000], "is damaged: "),
        (lambda: b"no tar at all" * 100, "is damaged: "),
        (None, "is not there"),
    ],
    ids=["missing", "other bytes", "twice", "one more", "cut off", "no tar", "gone"],
)
def test_damaged_pictures_are_named(small: World, content: Callable[[], bytes] | None, message: str) -> None:
    bucket = store_client.open_bucket(small.bucket)
    found = evalset.freeze(bucket, DATA)
    if content is None:
        small.delete(f"evalsets/{found.digest}/pictures.tar")
    else:
        small.put(f"evalsets/{found.digest}/pictures.tar", content())

    with pytest.raises(MismatchError, match=message):
        list(evalset.pictures(bucket, found))


def test_a_split_without_dogs_or_a_version_without_data_can_not_be_frozen(small: World) -> None:
    small.ingest("ca7000000001", [picture for picture in PICTURES if picture.label == "cat"])
    bucket = store_client.open_bucket(small.bucket)

    with pytest.raises(MismatchError, match="has no dog among its 3 pictures"):
        evalset.freeze(bucket, "ca7000000001")
    for unknown in ("ffffffffffff", "../raw", ""):
        with pytest.raises(MismatchError, match="is not there"):
            evalset.freeze(bucket, unknown)
    assert small.names("evalsets/") == []


def test_the_command_freezes_and_lists(small: World, capsys: pytest.CaptureFixture[str]) -> None:
    version = "5e5e00000001"
    small.publish(version, planted.SERVING)

    assert cli.main(["evalset", version, "--bucket", small.bucket]) == 0
    digest, told = capsys.readouterr()
    assert told == f"3 cats, 3 dogs, the test split of data version {DATA}\n"
    small.put(f"evalsets/{'3' * 64}/manifest.json", b"{}")
    assert cli.main(["evalset", "--list", "--bucket", small.bucket]) == 0

    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["digest", "frozen", "pictures"]
    assert {row.split()[0]: row.split("  ")[-1] for row in rows} == {
        digest.strip(): "3 cats, 3 dogs",
        "3" * 64: f"damaged: gs://{small.bucket}/evalsets/{'3' * 64}/manifest.json has the SHA-256 44136fa355b3, "
        "not 333333333333",
    }


def test_the_command_wants_a_version(small: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evalset", "--bucket", small.bucket]) == 78
    assert cli.main(["evalset", "gone", "--bucket", small.bucket]) == 65
    assert "which version's test split?" in capsys.readouterr().err
