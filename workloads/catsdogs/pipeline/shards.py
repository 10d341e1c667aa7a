"""Photographs in tar files of tens of megabytes, since thousands of small objects are slow to send and to list.
It must not look into a photograph, and gives the same bytes for the same photographs: no times, no owners."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

SHARD_BYTES = 48 * 2**20
BLOCK = 512
END = bytes(2 * BLOCK)


class Shards:
    """Writes shard-00000.tar and so on into `folder`, each of SHARD_BYTES and at most one photograph more.

    Entries are written by hand: `tarfile` takes 0.3 ms for each, a good part of what a decode takes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.place: dict[str, tuple[str, int, int]] = {}  # by name: shard, first byte, byte after the last
        self.file: BinaryIO | None = None

    def add(self, name: str, data: bytes) -> str:
        """Append one photograph; returns the name of the shard that took it."""
        if self.file is None or self.file.tell() >= SHARD_BYTES:
            self.close()
            self.file = (self.folder / self._name()).open("wb")
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        begin = self.file.tell()
        for part in (entry.tobuf(tarfile.GNU_FORMAT), data, bytes(-len(data) % BLOCK)):
            self.file.write(part)
        self.place[name] = (self._name(), begin, self.file.tell())
        return self._name()

    def _name(self) -> str:
        return f"shard-{self.count:05d}.tar"

    def close(self) -> None:
        """Finish the open shard, if there is one."""
        if self.file is not None:
            self.file.write(END)
            self.file.close()
            self.file, self.count = None, self.count + 1

    def drop(self, names: Collection[str]) -> None:
        """Write the shards that hold these photographs anew without them; an empty one is deleted.

        Once, after `close`: the places of the others are no longer true then.
        """
        gone: dict[str, list[tuple[int, int]]] = {}
        for name in names:
            if name in self.place:
                shard, begin, end = self.place[name]
                gone.setdefault(shard, []).append((begin, end))
        for shard, spans in gone.items():
            _cut(self.folder / shard, sorted(spans))


def _cut(file: Path, spans: list[tuple[int, int]]) -> None:
    """Remove these spans of bytes, sorted, from a file."""
    partial = file.with_name(f".{file.name}")
    with file.open("rb") as old, partial.open("wb") as new:
        for begin, end in [*spans, (file.stat().st_size, 0)]:
            while (left := begin - old.tell()) > 0:
                new.write(old.read(min(left, 2**20)))
            old.seek(end)
        size = new.tell()
    partial.replace(file)
    if size == len(END):
        file.unlink()


def read(folder: Path, shards: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each photograph of these shards, one in memory at a time."""
    for shard in shards:
        with tarfile.open(folder / shard) as tar:
            for entry in tar:
                if (file := tar.extractfile(entry)) is not None:
                    yield entry.name, file.read()
                tar.members = []  # type: ignore[attr-defined]  # or it remembers every entry it has seen
