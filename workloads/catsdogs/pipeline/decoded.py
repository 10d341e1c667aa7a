"""Squares that ingest decoded to check the photographs, kept for preprocess so that each is decoded once.
It must not be relied on: a stage that came from a cache leaves none, and then preprocess decodes by itself."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from catsdogs.pipeline.workspace import STATE, read_json, write_json

PIXELS = STATE / "decoded"
INDEX = STATE / "decoded.json"

Array = np.ndarray[Any, np.dtype[np.uint8]]


class Kept:
    """Writes squares, uint8 (3, S, S), one after the other; `close` with the version of the data makes them valid."""

    def __init__(self, size: int) -> None:
        forget()
        PIXELS.parent.mkdir(parents=True, exist_ok=True)
        self.size = size
        self.names: list[str] = []
        self.file = PIXELS.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, name: str, pixels: Array) -> None:
        """The square of the photograph `name`."""
        self.file.write(pixels.data)
        self.names.append(name)

    def rows(self) -> Squares:
        """What was added so far."""
        self.file.flush()
        return Squares(self.names, self.size)

    def close(self, data_version: str) -> None:
        """Finish: whoever has this version of the data may use the squares."""
        self.file.close()
        write_json(INDEX, {"dataVersion": data_version, "size": self.size, "names": self.names})


class Squares:
    """The kept squares by name of photograph, mapped from the file and not read into memory."""

    def __init__(self, names: list[str], size: int) -> None:
        self.row = {name: row for row, name in enumerate(names)}
        shape = (len(names), 3, size, size)
        self.pixels: Array = np.memmap(PIXELS, np.uint8, "r", shape=shape) if names else np.empty(shape, np.uint8)

    def __getitem__(self, name: str) -> Array:
        square: Array = self.pixels[self.row[name]]
        return square


def load(data_version: str, size: int) -> Squares | None:
    """The squares of this version of the data, or None when they are not there."""
    try:
        index = read_json(INDEX)
        if (index["dataVersion"], index["size"]) != (data_version, size):
            return None
        return Squares(index["names"], size)
    except (OSError, ValueError, KeyError):
        return None


def forget() -> None:
    """Remove what was kept."""
    INDEX.unlink(missing_ok=True)
    PIXELS.unlink(missing_ok=True)
