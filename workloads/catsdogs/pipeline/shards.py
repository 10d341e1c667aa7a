"""Photographs in tar files of tens of megabytes, since thousands of small objects are slow to send and to list.
It must not look into a photograph, and gives the same bytes for the same photographs: no times, no owners."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

SHARD_BYTES = 48 * 2**20


class Shards:
    """Writes shard-00000.tar and so on into `folder`, each of SHARD_BYTES and at most one photograph more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.size = 0
        self.tar: tarfile.TarFile | None = None

    def add(self, name: str, data: bytes) -> str:
        """Append one photograph; returns the name of the shard that took it."""
        if self.tar is None or self.size >= SHARD_BYTES:
            self.close()
            self.tar = _open(self.folder / self._name())
        _add(self.tar, name, data)
        self.size += len(data)
        return self._name()

    def _name(self) -> str:
        return f"shard-{self.count:05d}.tar"

    def close(self) -> None:
        """Finish the open shard, if there is one."""
        if self.tar is not None:
            self.tar.close()
            self.tar, self.size, self.count = None, 0, self.count + 1


def _open(file: Path) -> tarfile.TarFile:
    return tarfile.open(file, "w", format=tarfile.GNU_FORMAT)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def read(folder: Path, shards: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each photograph of these shards, one in memory at a time."""
    for shard in shards:
        with tarfile.open(folder / shard) as tar:
            for entry in tar:
                if (file := tar.extractfile(entry)) is not None:
                    yield entry.name, file.read()
                tar.members = []  # tarfile would remember every entry it has seen


def drop(folder: Path, shard: str, names: Collection[str]) -> None:
    """Write one shard anew without these photographs; one that would hold none is deleted."""
    partial = folder / f".{shard}"
    left = 0
    with _open(partial) as tar:
        for name, data in read(folder, [shard]):
            if name not in names:
                _add(tar, name, data)
                left += 1
    partial.replace(folder / shard)
    if not left:
        (folder / shard).unlink()
