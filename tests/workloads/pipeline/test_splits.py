"""A photograph never changes its split, look-alikes share one, and each class is cut where the shares want it."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from catsdogs import key
from catsdogs.pipeline import splits
from catsdogs.pipeline.duplicates import Pair
from catsdogs.pipeline.photos import Photo, Reject
from catsdogs.pipeline.splits import Assigned
from catsdogs.pipeline.workspace import SPLITS


def photo(number: int, label: str = "cat") -> Photo:
    name = f"{label.capitalize()}/{number:05d}.jpg"
    return Photo(name, label, hashlib.sha256(name.encode()).hexdigest(), 1, 40, 40)


def like(first: int, second: int) -> Pair:
    return Pair(first, second, 9, 0.9, False)


def both(count: int) -> list[Photo]:
    return [photo(number, label) for label in key.CLASSES for number in range(count)]


def shares(photos: list[Photo], assigned: Assigned) -> dict[str, list[int]]:
    counted = Counter((photo.label, assigned.splits[photo.name]) for photo in photos)
    return {label: [counted[label, split] for split in SPLITS] for label in key.CLASSES}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (7, [5, 1, 1]), (20, [14, 3, 3]), (1000, [700, 150, 150])],
)
def test_each_class_has_its_shares(count: int, expected: list[int]) -> None:
    photos = both(count)

    assert shares(photos, splits.assign(photos, [], {})) == {"cat": expected, "dog": expected}


def test_the_order_of_the_photographs_does_not_matter() -> None:
    photos = both(50)

    assert splits.assign(photos[::-1], [], {}).splits == splits.assign(photos, [], {}).splits


def test_without_what_was_decided_before_the_hash_still_keeps_nearly_all() -> None:
    photos = both(2000)
    before, after = splits.assign(photos[:3000], [], {}).splits, splits.assign(photos, [], {}).splits
    moved = sum(after[name] != split for name, split in before.items())

    assert moved / len(before) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_no_adding_or_taking_away_ever_moves_a_photograph(seed: int) -> None:
    """Twelve versions of random photographs, alike at random, each inheriting from the one before."""
    rng = np.random.default_rng(seed)
    world = [photo(number, label) for number in range(150) for label in key.CLASSES]
    alike = {tuple(sorted(rng.choice(len(world), 2, replace=False))): int(rng.integers(15)) for _ in range(120)}
    old: dict[str, str] = {}
    for _ in range(12):
        chosen = sorted(rng.choice(len(world), int(rng.integers(1, 250)), replace=False))
        place = {index: place for place, index in enumerate(chosen)}
        pairs = [
            Pair(place[a], place[b], distance, 0.9, False)
            for (a, b), distance in sorted(alike.items(), key=lambda item: item[1])
            if a in place and b in place
        ]
        photos = [world[index] for index in chosen]
        assigned = splits.assign(photos, pairs, old)
        found = {one.sha256: assigned.splits[one.name] for one in photos if one.name in assigned.splits}

        assert {sha256: found[sha256] for sha256 in found if sha256 in old}.items() <= old.items()
        assert {one.name for one in photos if one.sha256 in old} <= assigned.splits.keys(), "an old one was set aside"
        assert len(found) + len(assigned.rejects) == len(photos)
        for pair in pairs:
            names = photos[pair.first].name, photos[pair.second].name
            ends = [assigned.splits.get(name) for name in names]
            if None not in ends and not all(photos[end].sha256 in old for end in (pair.first, pair.second)):
                assert ends[0] == ends[1], "a newcomer tells of another split"
        old |= found


def test_a_newcomer_goes_where_its_look_alikes_are() -> None:
    photos = [photo(number) for number in range(6)]
    old = {photos[0].sha256: "test", photos[1].sha256: "train"}
    assigned = splits.assign(photos, [like(0, 3), like(3, 4)], old)

    assert [assigned.splits[photos[number].name] for number in (0, 1, 3, 4)] == ["test", "train", "test", "test"]
    assert (assigned.groups, assigned.rejects) == ([["Cat/00000.jpg", "Cat/00003.jpg", "Cat/00004.jpg"]], [])


def test_a_newcomer_between_two_splits_is_set_aside() -> None:
    photos = [photo(number) for number in range(3)]
    old = {photos[0].sha256: "train", photos[1].sha256: "val"}

    assert splits.assign(photos, [like(0, 2), like(1, 2)], old) == Assigned(
        {"Cat/00000.jpg": "train", "Cat/00001.jpg": "val"},
        [],
        [
            Reject(
                "Cat/00002.jpg",
                "BridgesSplits",
                "like Cat/00000.jpg of the train split and like Cat/00001.jpg of the val split",
            )
        ],
    )


def test_of_two_newcomers_between_two_splits_one_is_set_aside() -> None:
    photos = [photo(number) for number in range(4)]
    old = {photos[0].sha256: "train", photos[1].sha256: "val"}
    assigned = splits.assign(photos, [like(0, 2), like(1, 3), like(2, 3)], old)

    assert assigned.splits == {"Cat/00000.jpg": "train", "Cat/00001.jpg": "val", "Cat/00002.jpg": "train"}
    assert [reject.name for reject in assigned.rejects] == ["Cat/00003.jpg"]


def test_old_look_alikes_of_two_splits_both_stay() -> None:
    photos = [photo(0), photo(1)]
    old = {photos[0].sha256: "train", photos[1].sha256: "val"}

    assert splits.assign(photos, [like(0, 1)], old) == Assigned({"Cat/00000.jpg": "train", "Cat/00001.jpg": "val"}, [])


def test_a_chain_does_not_pull_all_into_one_split() -> None:
    photos = [photo(number) for number in range(400)]
    assigned = splits.assign(photos, [like(number, number + 1) for number in range(399)], {})

    assert max(len(group) for group in assigned.groups) == splits.LARGEST_GROUP
    assert set(assigned.splits.values()) == set(SPLITS)


def test_newcomers_fill_what_the_old_ones_lack() -> None:
    photos = [photo(number) for number in range(100)]
    old = {one.sha256: "train" for one in photos[:60]}

    assert Counter(splits.assign(photos, [], old).splits.values()) == {"train": 70, "val": 15, "test": 15}


def test_look_alikes_of_both_classes_share_a_split() -> None:
    photos = both(30)
    assigned = splits.assign(photos, [like(0, 30)], {})

    assert assigned.splits[photos[0].name] == assigned.splits[photos[30].name]
