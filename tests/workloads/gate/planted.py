"""Pictures and networks whose answers are known beforehand: no training, no photographs.

A picture is a gray texture with more red (a cat) or more blue (a dog), and green in one of four levels. A planted
network reads just that: it calls what is redder a cat, but for cats and dogs above a level of green, on which it errs.
It is a real SimpleCNN with its weights set by hand, saved and loaded like any other.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from catsdogs import images, key, model
from catsdogs.pipeline import duplicates

SIDE = 48
NEVER = 9
# Of 200 cats and 200 dogs in the test split, how many have each level of green.
CATS, DOGS = (172, 4, 8, 16), (184, 0, 8, 8)


@dataclass(frozen=True)
class Picture:
    name: str
    label: str
    data: bytes
    split: str = "test"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Plant:
    """A network that errs on cats and on dogs from a level of green on; or inverts, tosses a coin, says one thing."""

    cats: int = NEVER
    dogs: int = NEVER
    invert: bool = False
    coin: bool = False
    always_dog: bool = False
    size: int = 32


SERVING = Plant(cats=3, dogs=2)  # 32 of 400 wrong: 16 cats and 16 dogs
EQUAL = Plant(cats=2, dogs=3, size=48)  # 32 too, of which 8 are others
BETTER = Plant(cats=3)  # 16 wrong
WORSE = Plant(cats=2, dogs=2)  # 40 wrong: two points less
A_LITTLE_WORSE = Plant(cats=1, dogs=3)  # 12 worse, 8 better: one point less


def pixels(label: str, level: int, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """uint8 (SIDE, SIDE, 3). Bright or dark by chance, whatever the label."""
    texture = np.kron(random.integers(0, 40, (6, 6)), np.ones((SIDE // 6, SIDE // 6)))
    gray = texture + random.choice([20, 80])
    offsets = (90, 40 * level, 0) if label == "cat" else (0, 40 * level, 90)
    return np.stack([gray + offset for offset in offsets], axis=2).astype(np.uint8)


def png(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(seed: int = 0, train: int = 20) -> list[Picture]:
    """The test split, by name, and `train` pictures of each class for the train split."""
    random, found = np.random.default_rng(seed), []
    for label, folder, counts in zip(key.CLASSES, key.CLASS_FOLDERS, (CATS, DOGS), strict=True):
        levels = [level for level, count in enumerate(counts) for _ in range(count)]
        for number, level in enumerate([*levels, *[0] * train]):
            split = "test" if number < len(levels) else "train"
            found.append(Picture(f"{folder}/{number:03}.png", label, png(pixels(label, level, random)), split))
    return found


def row(picture: Picture, shard: str) -> dict[str, Any]:
    """The picture as ingest's manifest has it."""
    square = images.decode(picture.data, 32).unsqueeze(0).numpy()
    phash = duplicates.hashes(duplicates.thumbnails(square))[0]
    facts = {"name": picture.name, "label": picture.label, "sha256": picture.sha256, "bytes": len(picture.data)}
    return {**facts, "width": SIDE, "height": SIDE, "split": picture.split, "shard": shard, "phash": f"{phash:016x}"}


def write(path: Path, plant: Plant) -> str:
    """Save the network; returns the SHA-256 of the file."""
    module = model.build("SimpleCNN").eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.weight.fill_(1)
            elif isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3):
                for channel in range(4):
                    part.weight[channel, channel, 1, 1] = 1
        red, blue, cat_is_green, dog_is_green = (1, 0, 0), (0, 0, 1), (0, 1, -1), (-1, 1, 0)
        for channel, (shares, above) in enumerate(
            [(red, 0.0), (blue, 0.0), (cat_is_green, _threshold(plant.cats)), (dog_is_green, _threshold(plant.dogs))]
        ):
            _reads(module, channel, shares, above)
        _head(module.head, plant)
    metadata = {"architecture": "SimpleCNN", "imageSize": plant.size, "classes": list(key.CLASSES), "temperature": 1.0}
    return model.save(path, module, metadata)


def _threshold(level: int) -> float:
    """Half way below a level of green, as green less the lesser of red and blue, on 0..1."""
    return 40 * (level - 0.5) / 255


def _reads(module: Any, channel: int, shares: tuple[int, int, int], above: float) -> None:
    """The channel is the weighted sum of red, green and blue on 0..1 less `above`, or 0 where that is negative."""
    convolution, norm = module.features[0][0], module.features[0][1]
    for colour, share in enumerate(shares):
        convolution.weight[channel, colour, 2, 2] = share * model.DEVIATION[colour]
    norm.bias[channel] = sum(share * mean for share, mean in zip(shares, model.MEAN, strict=True)) - above


def _head(head: Any, plant: Plant) -> None:
    cat, dog = (1, 0) if plant.invert else (0, 1)
    if plant.always_dog:
        head.bias[dog] = 4
        return
    if plant.coin:
        head.weight[cat, :2] = 20  # bright ones are cats
        head.bias[dog] = 20 * (2 * (50 + 20) + 90) / 255
        return
    head.weight[cat, 0] = head.weight[dog, 1] = 20
    head.weight[dog, 2] = head.weight[cat, 3] = 300
