"""The split of each photograph: old ones keep theirs, look-alikes share one, the hash of the content decides the rest.
It must not look at pictures or files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from catsdogs import key
from catsdogs.pipeline.duplicates import Pair
from catsdogs.pipeline.photos import Photo, Reject
from catsdogs.pipeline.workspace import SPLITS

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
# A chain of look-alikes may grow to this many, or to this share of all, whichever is more: a burst, not a data set.
LARGEST_GROUP, LARGEST_SHARE = 50, 0.02


@dataclass
class Group:
    """Photographs, by index, that must share a split; `split` is "" until one is fixed."""

    members: list[int]
    split: str


@dataclass(frozen=True)
class Assigned:
    """`splits` by name of photograph, `groups` of two and more names, and newcomers set aside."""

    splits: dict[str, str]
    groups: list[list[str]]
    rejects: list[Reject] = field(default_factory=list)


def assign(photos: Sequence[Photo], alike: Sequence[Pair], old: Mapping[str, str]) -> Assigned:
    """A split for each photograph; `alike` are pairs of indices, nearest first, `old` is sha256 to split.

    A photograph of `old` gets the split it has there, whatever else is given. A newcomer that is like photographs
    of two splits is set aside as BridgesSplits: in either split it would tell of the other.
    """
    group_of = {index: Group([index], old.get(photo.sha256, "")) for index, photo in enumerate(photos)}
    limit = max(LARGEST_GROUP, int(LARGEST_SHARE * len(photos)))
    aside: dict[int, Reject] = {}
    for pair in alike:
        first, second = group_of[pair.first], group_of[pair.second]
        if {pair.first, pair.second} & aside.keys() or first is second:
            continue
        if first.split and second.split and first.split != second.split:
            if bridge := _bridge(photos, pair, old):
                index, other = bridge
                group_of[index].members.remove(index)
                aside[index] = Reject(photos[index].name, "BridgesSplits", _between(photos, group_of, index, other))
        elif len(first.members) + len(second.members) <= limit:
            _join(first, second, group_of)
    groups = list({id(group_of[index]): group_of[index] for index in range(len(photos)) if index not in aside}.values())
    _stratify(photos, groups)
    return Assigned(
        {photos[index].name: group.split for group in groups for index in group.members},
        [sorted(photos[index].name for index in group.members) for group in groups if len(group.members) > 1],
        list(aside.values()),
    )


def _join(first: Group, second: Group, group_of: dict[int, Group]) -> None:
    first.members += second.members
    first.split = first.split or second.split
    group_of.update(dict.fromkeys(second.members, first))


def _bridge(photos: Sequence[Photo], pair: Pair, old: Mapping[str, str]) -> tuple[int, int] | None:
    """Which of two is the newcomer to set aside, and the other; None when both are old and have to stay."""
    new = [index for index in (pair.first, pair.second) if photos[index].sha256 not in old]
    if not new:
        return None
    index = max(new, key=lambda one: photos[one].name)
    return index, pair.first + pair.second - index


def _between(photos: Sequence[Photo], group_of: Mapping[int, Group], index: int, other: int) -> str:
    own, its = group_of[index], group_of[other]
    like = min(photos[member].name for member in own.members)
    return f"like {like} of the {own.split} split and like {photos[other].name} of the {its.split} split"


def _stratify(photos: Sequence[Photo], groups: Sequence[Group]) -> None:
    """Give every group without a split one, so that each class comes nearest to SHARES.

    Groups stand in the order of their content hash and the order is cut in three where the shares want it. For many
    photographs the cuts lie at 0.70 and 0.85 of the hash's range, so that even without `old` few would move.
    """
    for label in key.CLASSES:
        mine = [group for group in groups if photos[_head(photos, group)].label == label]
        new = sorted(
            (group for group in mine if not group.split), key=lambda group: photos[_head(photos, group)].sha256
        )
        have = Counter(dict.fromkeys(SPLITS, 0))
        for group in mine:
            have[group.split] += len(group.members)
        need = {split: max(0, wanted - have[split]) for split, wanted in _targets(sum(have.values())).items()}
        count, total, done = sum(len(group.members) for group in new), sum(need.values()), 0
        for group in new:
            middle = (done + len(group.members) / 2) * total / count
            group.split = _cut(need, middle)
            done += len(group.members)


def _head(photos: Sequence[Photo], group: Group) -> int:
    return min(group.members, key=lambda index: photos[index].sha256)


def _targets(count: int) -> dict[str, int]:
    """How many of `count` photographs each split should hold: from 3 on at least one."""
    held = {split: max(1, round(SHARES[split] * count)) if count > 2 else 0 for split in ("val", "test")}
    return {"train": count - sum(held.values()), **held}


def _cut(need: Mapping[str, int], position: float) -> str:
    upto = 0
    for split, count in need.items():
        upto += count
        if position < upto:
            return split
    return max(need, key=lambda split: need[split])
