"""Pictures and a model for the tests, made here: no test needs a file from elsewhere.
It must not be random: the same call gives the same bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from catsdogs import model


@dataclass(frozen=True)
class ModelFile:
    path: Path
    sha256: str

    @property
    def uri(self) -> str:
        return self.path.as_uri()


DESCRIPTION = {
    "version": "abc123def456",
    "metrics": {"testAccuracy": 0.87, "testAccuracyLow": 0.84, "testAccuracyHigh": 0.9, "testCount": 400},
    "stoppedBy": "epochs",
    "createdAt": "2026-01-02T03:04:05Z",
    "lineage": {"dataVersion": "d1", "gitCommit": "f4db34a", "parameters": {"epochs": 20}},
}


def write_model(folder: Path, **changes: object) -> ModelFile:
    """A model with random weights (seed 0) and the model.json beside it; `changes` go into its metadata."""
    torch.manual_seed(0)
    metadata = {"architecture": "SimpleCNN", "imageSize": 32, "classes": ["cat", "dog"], "temperature": 1.5}
    path = folder / "model.pt"
    sha256 = model.save(path, model.build("SimpleCNN"), {**metadata, **changes})
    (folder / "model.json").write_text(json.dumps({**DESCRIPTION, "sha256": sha256}))
    return ModelFile(path, sha256)


def picture(kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (48, 40), **options: object) -> bytes:
    """A coloured gradient, encoded."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack((x, y, 255 - x), axis=2).astype(np.uint8)
    return encoded(Image.fromarray(pixels).convert(mode), kind, **options)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
