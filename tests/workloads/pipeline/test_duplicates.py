"""Copies are found however they were saved, look-alikes are told from strangers, and of copies the right one stays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from catsdogs.pipeline import duplicates, photos
from catsdogs.pipeline.duplicates import Pair
from catsdogs.pipeline.photos import Photo, Reject, Seen
from demo.animals import cat
from demo.drawings import drawing
from tests.workloads.pipeline.conftest import encoded, scene

Array = duplicates.Array


def drawn() -> Image.Image:
    return drawing(cat, np.random.default_rng(7))


def thumb(image: Image.Image, kind: str = "PNG", size: int = 64, **options: int) -> Array:
    seen = photos.check("Cat/1.png", encoded(image, kind, **options), size)
    assert isinstance(seen, Seen)
    thumbs: Array = duplicates.thumbnails(seen.pixels[None])
    return thumbs[0]


def compare(first: Array, second: Array) -> list[Pair]:
    return duplicates.pairs(np.stack([first, second]))


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * share), int(height * share), width - int(width * share), height))


@pytest.mark.parametrize(
    "copy",
    [
        thumb(drawn(), "JPEG", quality=40),
        thumb(drawn().resize((100, 100))),
        thumb(drawn().convert("L")),
        thumb(ImageEnhance.Brightness(drawn()).enhance(0.8)),
        thumb(cropped(drawn(), 0.01)),
        thumb(drawn(), size=96),
    ],
    ids=["encoded anew", "resized", "gray", "darker", "trimmed", "another imageSize"],
)
def test_a_copy_is_the_same_picture(copy: Array) -> None:
    assert [pair.same for pair in compare(thumb(drawn()), copy)] == [True]


@pytest.mark.parametrize(
    "other",
    [thumb(drawn().transpose(Image.Transpose.FLIP_LEFT_RIGHT)), thumb(cropped(drawn(), 0.06))],
    ids=["mirrored", "cropped"],
)
def test_a_look_alike_is_not_the_same_picture(other: Array) -> None:
    assert [pair.same for pair in compare(thumb(drawn()), other)] == [False]


@pytest.mark.parametrize("side", [16, 40, 64, 100])
def test_a_thumbnail_averages_the_luma_of_its_fields(side: int) -> None:
    squares = np.random.default_rng(1).integers(0, 256, (70, 3, side, side), np.uint8)
    edges = [number * side // 16 for number in range(17)]
    luma = 0.299 * squares[69, 0] + 0.587 * squares[69, 1] + 0.114 * squares[69, 2]
    expected = [[luma[a:b, c:d].mean() for c, d in pairwise(edges)] for a, b in pairwise(edges)]

    assert duplicates.thumbnails(squares)[69] == pytest.approx(np.array(expected), abs=1.5)


def test_strangers_are_not_alike() -> None:
    assert duplicates.pairs(np.stack([thumb(scene(seed)) for seed in range(200)])) == []


def test_pictures_of_one_shade_are_not_compared() -> None:
    plain = [thumb(Image.new("RGB", (64, 64), (shade, shade, shade))) for shade in (0, 90, 255)]

    assert duplicates.pairs(np.stack(plain)) == []


def test_no_photographs_have_no_pairs() -> None:
    assert duplicates.pairs(np.empty((0, 16, 16), np.uint8)) == []


def test_pairs_are_found_across_the_steps_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbs = np.stack([thumb(scene(seed)) for seed in (1, 2, 3, 1, 4, 2, 1)])
    whole = duplicates.pairs(thumbs)
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 8)

    assert duplicates.pairs(thumbs) == whole
    assert whole == [Pair(*ends, 0, 1.0, True) for ends in ((0, 3), (0, 6), (1, 5), (3, 6))]


def test_the_hash_of_a_mirrored_picture_needs_no_second_look() -> None:
    thumbs = np.stack([thumb(scene(seed)) for seed in range(20)])

    assert np.array_equal(duplicates.mirrored(duplicates.hashes(thumbs)), duplicates.hashes(thumbs[:, :, ::-1]))


def test_the_hash_is_the_same_on_every_machine() -> None:
    rows, columns = np.mgrid[0:16, 0:16]
    thumbs = np.stack([(7 * rows + 13 * columns) % 251, (rows * columns) % 51, rows * rows]).astype(np.uint8)

    assert [f"{value:016x}" for value in duplicates.hashes(thumbs)] == HASHES


HASHES = ["14295a552b2a5555", "003f7863664c5b52", "0000800080008000"]


def photo(name: str, side: int = 100) -> Photo:
    return Photo(name, name.split("/")[0].lower(), f"sha of {name}", 1, side, side)


def same(first: int, second: int) -> Pair:
    return Pair(first, second, 1, 0.999, True)


SAYS = "(hash distance 1 of 63, correlation 0.999)"


@pytest.mark.parametrize(
    ("given", "pairs", "old", "expected"),
    [
        (["Cat/1", "Cat/2"], [same(0, 1)], [], [("Cat/2", "Cat/1")]),
        (["Cat/1", "Cat/2"], [same(0, 1)], ["Cat/2"], [("Cat/1", "Cat/2")]),
        (["Cat/1", "Cat/2"], [same(0, 1)], ["Cat/1", "Cat/2"], []),
        (["Cat/1", "Cat/2", "Cat/3"], [same(0, 1), same(0, 2)], [], [("Cat/2", "Cat/1"), ("Cat/3", "Cat/1")]),
        (["Cat/1", "Cat/2", "Cat/3"], [same(0, 1), same(1, 2)], [], [("Cat/2", "Cat/1")]),
        (["Cat/1", "Cat/2"], [Pair(0, 1, 9, 0.9, False)], [], []),
    ],
    ids=["first stays", "old stays", "old ones both stay", "one stays of three", "a chain", "look-alikes stay"],
)
def test_of_copies_one_stays(
    given: list[str], pairs: list[Pair], old: list[str], expected: list[tuple[str, str]]
) -> None:
    found = duplicates.copies([photo(name) for name in given], pairs, [f"sha of {name}" for name in old], [])

    assert found == [Reject(name, "NearDuplicate", f"same picture as {other} {SAYS}") for name, other in expected]


def test_of_copies_the_largest_stays() -> None:
    found = duplicates.copies([photo("Cat/1", 50), photo("Cat/2", 400)], [same(0, 1)], [], [])

    assert found == [Reject("Cat/1", "NearDuplicate", f"same picture as Cat/2 {SAYS}")]


def test_what_is_set_aside_already_takes_no_other_with_it() -> None:
    assert duplicates.copies([photo("Cat/1"), photo("Cat/2")], [same(0, 1)], [], ["Cat/1"]) == []


def test_one_picture_in_both_classes_is_in_none() -> None:
    found = duplicates.conflicts([photo("Cat/1"), photo("Cat/2"), photo("Dog/1")], [same(0, 2)], [])

    assert found == [
        Reject("Cat/1", "ConflictingLabels", f"same picture as Dog/1 {SAYS}, which is in the other class"),
        Reject("Dog/1", "ConflictingLabels", f"same picture as Cat/1 {SAYS}, which is in the other class"),
    ]


def test_a_copy_of_a_picture_in_both_classes_is_in_none() -> None:
    given = [photo("Cat/1"), photo("Cat/2")]
    found = duplicates.conflicts(given, [same(0, 1)], [(given[0], "Dog/1")])

    assert found == [
        Reject("Cat/1", "ConflictingLabels", "same bytes as Dog/1, which is in the other class"),
        Reject("Cat/2", "ConflictingLabels", f"same picture as Cat/1 {SAYS}, which is in the other class"),
    ]


def test_look_alikes_of_both_classes_are_no_conflict() -> None:
    given = [photo("Cat/1"), photo("Dog/1")]

    assert duplicates.conflicts(given, [Pair(0, 1, 9, 0.9, False)], []) == []
