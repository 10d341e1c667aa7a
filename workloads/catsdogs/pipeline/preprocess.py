"""Preprocess: tar shards to one uint8 array per split, decoded once by the function that the server uses too.
It must not augment or normalise, and must not hold more than a few photographs in memory."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catsdogs import images, key
from catsdogs.errors import data_error
from catsdogs.model import sha256_of
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import INGESTED, PROCESSED, SPLITS, read_json, read_parameters, write_json

CHUNK = 128


def run() -> None:
    """The stage: data/ingested to data/processed.

    Writes SPLIT.npy, uint8 (N, 3, S, S), SPLIT-labels.npy, uint8 (N,), 0 cat and 1 dog, and manifest.json with
    the names in the order of the rows. Photographs that can't be decoded after all are listed as rejected.
    """
    size = int(read_parameters()["imageSize"])
    ingested = read_json(INGESTED / "manifest.json")
    PROCESSED.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # one thread per picture, several pictures at once
    rows = {photo["name"]: photo for photo in ingested["photos"]}
    totals = {split: sum(photo["split"] == split for photo in rows.values()) for split in SPLITS}
    writers = {split: _Writer(split, totals[split], size) for split in SPLITS}
    rejected = _fill(rows, writers, size, Progress("preprocess"))
    manifest = {
        "dataVersion": ingested["dataVersion"],
        "imageSize": size,
        "classes": list(key.CLASSES),
        "splits": {split: writer.close() for split, writer in writers.items()},
        "rejected": rejected,
    }
    write_json(PROCESSED / "manifest.json", manifest)


def _fill(rows: dict[str, Any], writers: dict[str, _Writer], size: int, progress: Progress) -> list[dict[str, str]]:
    """Decode all photographs into their writers; returns those that could not be decoded, with reason."""
    rejected: list[dict[str, str]] = []
    done = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        stored = _stored(sorted({row["shard"] for row in rows.values()}))
        while chunk := list(islice(stored, CHUNK)):
            for name, result in pool.map(lambda item: (item[0], _decode(item[1], size)), chunk):
                row = rows[name]
                if isinstance(result, str):
                    rejected.append({"name": name, "reason": "Corrupt", "detail": result})
                else:
                    writers[row["split"]].add(name, key.CLASSES.index(row["label"]), result)
            done += len(chunk)
            progress.report(done, len(rows))
    return rejected


def _stored(shards: list[str]) -> Iterator[tuple[str, bytes]]:
    for shard in shards:
        with tarfile.open(INGESTED / shard) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                if file is not None:
                    yield entry.name, file.read()


def _decode(data: bytes, size: int) -> np.ndarray[Any, np.dtype[np.uint8]] | str:
    try:
        return images.decode(data, size).numpy()
    except images.BadImage as error:
        return str(error)


class _Writer:
    """The arrays of one split, written row by row through a memory map."""

    def __init__(self, split: str, rows: int, size: int) -> None:
        if rows == 0:
            raise data_error(f"the {split} split is empty", "add photographs and run ingest again")
        self.file = PROCESSED / f"{split}.npy"
        self.label_file = PROCESSED / f"{split}-labels.npy"
        shape = (rows, 3, size, size)
        self.pixels = np.lib.format.open_memmap(self.file, mode="w+", dtype=np.uint8, shape=shape)
        self.names: list[str] = []
        self.labels: list[int] = []

    def add(self, name: str, label: int, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        self.pixels[len(self.names)] = pixels
        self.names.append(name)
        self.labels.append(label)

    def close(self) -> dict[str, Any]:
        self.pixels.flush()
        if not self.names:
            raise data_error(f"no photograph of the {self.file.stem} split can be decoded", "add photographs")
        if len(self.names) < len(self.pixels):
            self._keep_filled()
        np.save(self.label_file, np.array(self.labels, dtype=np.uint8))
        hashes = {path.name: sha256_of(path) for path in (self.file, self.label_file)}
        return {"names": self.names, "sha256": hashes}

    def _keep_filled(self) -> None:
        """Some could not be decoded: write the array anew with the filled rows, a few at a time."""
        partial = self.file.with_suffix(".partial")
        shape = (len(self.names), *self.pixels.shape[1:])
        kept = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        for begin in range(0, len(kept), CHUNK):
            kept[begin : begin + CHUNK] = self.pixels[begin : min(begin + CHUNK, len(kept))]
        kept.flush()
        partial.replace(self.file)


def load_split(split: str, folder: Path = PROCESSED) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels, uint8 (N, 3, S, S), mapped from the file and not read into memory, and labels, int64 (N,)."""
    # Mode "c" (copy on write): torch wants writable memory, the file stays as it is.
    pixels = torch.from_numpy(np.load(folder / f"{split}.npy", mmap_mode="c"))
    labels = torch.from_numpy(np.load(folder / f"{split}-labels.npy").astype(np.int64))
    return pixels, labels
