"""The pictures that are sent, and the model that answers. It must not measure anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image

from bench.photos import folder
from catsdogs import key, model

PHOTOGRAPHS = 200
LARGE = 10
LARGE_SIZE = (4000, 3000)
TILE = (400, 375)


def photographs(data: Path | None, work: Path) -> Path:
    """A folder of 200 photographs, half each; drawings without `data`."""
    source = folder(data, 2000, work) if data is None else data
    target = work / "photographs"
    target.mkdir()
    for name in key.CLASS_FOLDERS:
        for number, file in enumerate(sorted((source / name).iterdir())[: PHOTOGRAPHS // 2]):
            (target / f"{name}-{number:03}.jpg").write_bytes(file.read_bytes())
    return target


def large(photos: Path, work: Path) -> Path:
    """A folder of ten pictures of 12 megapixels: 80 photographs side by side, so as detailed as from a camera."""
    target = work / "large"
    target.mkdir()
    files = sorted(photos.iterdir())
    for number in range(LARGE):
        picture = Image.new("RGB", LARGE_SIZE)
        for place in range(80):
            with Image.open(files[(number * 19 + place) % len(files)]) as photo:
                tile = photo.convert("RGB").resize(TILE)
            picture.paste(tile, (place % 10 * TILE[0], place // 10 * TILE[1]))
        picture.save(target / f"{number}.jpg", quality=90)
    return target


def trained(data: Path, work: Path, seconds: int) -> Path:
    """A model trained as a user would, within `seconds`: random weights would answer all pictures alike."""
    out = work / "training"
    settings = ("--set", f"maxTrainSeconds={seconds}", "--set", "epochs=12")
    command = [sys.executable, "-m", "catsdogs", "run", "--raw", str(data), "--out", str(out), *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out / "model/model.pt"


def resized(source: Path, size: int, work: Path) -> Path:
    """The same weights, told to look at squares of `size` pixels: the network takes any."""
    module, metadata = model.load(source, model.sha256_of(source))
    target = work / f"model-{size}.pt"
    with torch.no_grad():
        model.save(target, module, {**metadata, "imageSize": size})
    return target
