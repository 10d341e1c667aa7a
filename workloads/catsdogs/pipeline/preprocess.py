"""Preprocess: ingested photographs to one uint8 array per split, by the function that the server uses too.
It must not augment or normalise, and must not hold more than a few photographs in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from catsdogs import key
from catsdogs.errors import data_error
from catsdogs.pipeline import decoded, shards
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import INGESTED, PROCESSED, SPLITS, read_json, read_parameters, write_json

if TYPE_CHECKING:
    import torch

CHUNK = 128

Array = np.ndarray[Any, np.dtype[np.uint8]]


def run() -> None:
    """The stage: data/ingested to data/processed.

    Writes SPLIT.npy, uint8 (N, 3, S, S), SPLIT-labels.npy, uint8 (N,), 0 cat and 1 dog, and manifest.json with
    the names in the order of the rows. Photographs that can't be decoded after all are listed as rejected.
    """
    size = int(read_parameters()["imageSize"])
    ingested = read_json(INGESTED / "manifest.json")
    PROCESSED.mkdir(parents=True, exist_ok=True)
    rows = {photo["name"]: photo for photo in ingested["photos"]}
    squares = decoded.load(ingested["dataVersion"], size)
    source = _decoded_anew(rows, size) if squares is None else ((name, squares[name]) for name in rows)
    with contextlib.ExitStack() as files:
        writers = {split: files.enter_context(_Writer(split, size)) for split in SPLITS}
        rejected = _fill(rows, source, writers, Progress("preprocess"))
        written = {split: writer.finish() for split, writer in writers.items()}
    manifest = {
        "dataVersion": ingested["dataVersion"],
        "imageSize": size,
        "classes": list(key.CLASSES),
        "rejected": rejected,
        "splits": written,
    }
    write_json(PROCESSED / "manifest.json", manifest, indent=None)
    decoded.forget()


def _fill(
    rows: Mapping[str, Any],
    source: Iterator[tuple[str, Array | str]],
    writers: Mapping[str, _Writer],
    progress: Progress,
) -> list[dict[str, str]]:
    """Write all squares to the files of their split; returns those that could not be decoded, with reason."""
    rejected: list[dict[str, str]] = []
    for done, (name, result) in enumerate(source, start=1):
        if isinstance(result, str):
            rejected.append({"name": name, "reason": "Corrupt", "detail": result})
        else:
            writers[rows[name]["split"]].add(name, key.CLASSES.index(rows[name]["label"]), result)
        progress.report(done, len(rows))
    return rejected


def _decoded_anew(rows: Mapping[str, Any], size: int) -> Iterator[tuple[str, Array | str]]:
    """Name and square of each photograph in the shards, or why there is none; all cores decode."""
    import torch

    from catsdogs import images

    def decode(item: tuple[str, bytes]) -> tuple[str, Array | str]:
        try:
            return item[0], images.decode(item[1], size).numpy()
        except images.BadImage as error:
            return item[0], str(error)

    torch.set_num_threads(1)  # one thread per picture, several pictures at once
    packed = shards.read(INGESTED, sorted({row["shard"] for row in rows.values()}))
    stored = (item for item in packed if item[0] in rows)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while chunk := list(islice(stored, CHUNK)):
            yield from pool.map(decode, chunk)


class _Writer:
    """The arrays of one split, written row by row; no memory map, so that a full disk is an error and no crash."""

    def __init__(self, split: str, size: int) -> None:
        self.split = split
        self.size = size
        self.path = PROCESSED / f"{split}.npy"
        self.label_path = PROCESSED / f"{split}-labels.npy"
        self.names: list[str] = []
        self.labels: list[int] = []
        self.file = self.path.open("wb")
        self._header()

    def _header(self) -> None:
        # NumPy pads it so that it has the same length for any number of rows.
        shape = (len(self.names), 3, self.size, self.size)
        np.lib.format.write_array_header_1_0(self.file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def add(self, name: str, label: int, pixels: Array) -> None:
        self.file.write(pixels.data)
        self.names.append(name)
        self.labels.append(label)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def finish(self) -> dict[str, Any]:
        if not self.names:
            raise data_error(f"no photograph of the {self.split} split can be decoded", "add photographs")
        self.file.seek(0)
        self._header()
        self.file.close()
        np.save(self.label_path, np.array(self.labels, dtype=np.uint8))
        return {"names": self.names, "sha256": {path.name: _sha256(path) for path in (self.path, self.label_path)}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_split(split: str, folder: Path = PROCESSED) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels, uint8 (N, 3, S, S), mapped from the file and not read into memory, and labels, int64 (N,)."""
    import torch

    # Mode "c" (copy on write): torch wants writable memory, the file stays as it is.
    pixels = torch.from_numpy(np.load(folder / f"{split}.npy", mmap_mode="c"))
    labels = torch.from_numpy(np.load(folder / f"{split}-labels.npy").astype(np.int64))
    return pixels, labels
