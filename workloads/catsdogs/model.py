"""The networks, and how a saved one is read back: the same code in training and in serving.
It must not know about pipelines, buckets or HTTP, and must not load a file whose SHA-256 was not given."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

# Channel means and deviations of natural photographs (ImageNet), on the 0..1 scale.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
_SCALE = torch.tensor([1.0 / (255.0 * d) for d in DEVIATION]).view(1, 3, 1, 1)
_SHIFT = torch.tensor([m / d for m, d in zip(MEAN, DEVIATION, strict=True)]).view(1, 3, 1, 1)


class ModelFileError(ValueError):
    """A model file that is not what was asked for; the message says what differs."""


class WrongFileError(ModelFileError):
    """Another file than was meant lies there: its SHA-256 is a different one."""


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)]


def _settled(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _stem(channels: int) -> nn.Sequential:
    """The first block: half the side at once, since full-size maps would cost most of the time."""
    convolution = nn.Conv2d(3, channels, 5, stride=2, padding=2, bias=False)
    return nn.Sequential(convolution, *_settled(channels))


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two convolutions, half the side. Pooled before the normalisation, which then has a quarter to do."""
    first = [*_convolution(channels_in, channels_out), nn.MaxPool2d(2), *_settled(channels_out)]
    return nn.Sequential(*first, *_convolution(channels_out, channels_out), *_settled(channels_out))


class _Blocks(nn.Module):
    """Convolution blocks of these widths and global pooling: normalised (N, 3, S, S) to logits (N, 2), any S >= 16."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(_stem(widths[0]), *(_block(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(2 * widths[-1], 2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.answer(self.features(batch))

    def answer(self, maps: torch.Tensor) -> torch.Tensor:
        """The last block's maps (N, C, H, W) to logits (N, 2)."""
        # Mean says how much of a texture there is, maximum whether it is there at all.
        pooled = torch.cat((maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))), dim=1)
        logits: torch.Tensor = self.head(pooled)
        return logits


class SimpleCNN(_Blocks):
    """Three blocks: 280,000 weights and 133 million multiplications for a picture of 96 x 96."""

    def __init__(self) -> None:
        super().__init__((32, 64, 128))


class DeepCNN(_Blocks):
    """Four blocks, for parts of an animal as wholes: 696,000 weights, 168 million multiplications for 96 x 96."""

    def __init__(self) -> None:
        super().__init__((32, 64, 128, 160))


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {"SimpleCNN": SimpleCNN, "DeepCNN": DeepCNN}


def build(architecture: str) -> nn.Module:
    """A freshly initialised network in channels_last. Raises ValueError for an unknown name."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r} is unknown; known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture]().to(memory_format=torch.channels_last)


def normalize(batch: torch.Tensor) -> torch.Tensor:
    """uint8 (N, 3, S, S) in 0..255 to float32 of mean 0 and deviation 1 per channel, in channels_last."""
    floats = batch.to(torch.float32, memory_format=torch.channels_last)
    return floats.mul_(_SCALE.to(batch.device)).sub_(_SHIFT.to(batch.device))


def probabilities(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Softmax of logits (N, 2) over the temperature (> 0): rows sum to 1, columns are key.CLASSES."""
    return torch.softmax(logits / temperature, dim=1)


def save(path: Path, module: nn.Module, metadata: Mapping[str, Any]) -> str:
    """Write state dict and metadata (plain values only) and return the file's SHA-256 in hex."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    # Through memory: torch's own writer hides a full disk behind a RuntimeError, and puts the file's name in it.
    buffer = io.BytesIO()
    torch.save({"metadata": dict(metadata), "state": state}, buffer)
    path.write_bytes(buffer.getbuffer())
    return sha256_of(path)


def load(path: Path | str, sha256: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network in eval mode and its metadata (architecture, imageSize, classes, temperature).

    Raises WrongFileError when the file's SHA-256 is not `sha256`, before anything of it is unpickled, and
    ModelFileError when it holds something else than a model of ours.
    """
    found = sha256_of(Path(path))
    if found != sha256:
        raise WrongFileError(f"{path}: SHA-256 is {found}, not {sha256}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"metadata", "state"} <= content.keys():
        raise ModelFileError(f"{path}: not a model file: no metadata and state")
    metadata: dict[str, Any] = content["metadata"]
    module = build(metadata["architecture"])
    module.load_state_dict(content["state"])
    return module.eval(), metadata


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
