"""Random changes of a training batch that leave a cat a cat: mirror, shift, zoom, turn, light and colour.
It must not be used for validation, test or serving, and must take all its chance from the given generator."""

from __future__ import annotations

import math

import torch

from catsdogs.model import normalize

SHIFT = 0.12  # of the side
ZOOM = (0.75, 1.15)  # share of the side that is seen
STRETCH = 0.10  # natural log of the change of aspect
TURN = math.radians(12)
BRIGHTNESS = 0.25  # added, on the normalised scale
CONTRAST = 0.25
SATURATION = 0.3


def augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """uint8 (N, 3, S, S) in 0..255 to normalised float32 (N, 3, S, S) in channels_last, changed at random."""
    batch = normalize(pixels)
    grid = torch.nn.functional.affine_grid(_affine(len(batch), generator), list(batch.shape), False)
    warped = torch.nn.functional.grid_sample(
        batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return _light(warped, generator).contiguous(memory_format=torch.channels_last)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _affine(count: int, generator: torch.Generator) -> torch.Tensor:
    """(N, 2, 3) maps from output to input coordinates, both in -1..1."""
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = _uniform(count, -TURN, TURN, generator)
    zoom = _uniform(count, *ZOOM, generator)
    stretch = torch.exp(_uniform(count, -STRETCH, STRETCH, generator))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    shift = _uniform(2 * count, -2 * SHIFT, 2 * SHIFT, generator).view(2, count)
    rows = (
        torch.stack((mirror * zoom * stretch * cosine, -zoom * stretch * sine, shift[0]), dim=1),
        torch.stack((mirror * zoom / stretch * sine, zoom / stretch * cosine, shift[1]), dim=1),
    )
    return torch.stack(rows, dim=1)


def _light(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast about the picture's mean, saturation about its gray."""

    def factor(low: float, high: float) -> torch.Tensor:
        return _uniform(len(batch), low, high, generator).view(-1, 1, 1, 1)

    gray = batch.mean(dim=1, keepdim=True)
    batch = gray + (batch - gray) * factor(1 - SATURATION, 1 + SATURATION)
    mean = gray.mean(dim=(2, 3), keepdim=True)
    batch = mean + (batch - mean) * factor(1 - CONTRAST, 1 + CONTRAST)
    return batch + factor(-BRIGHTNESS, BRIGHTNESS)
