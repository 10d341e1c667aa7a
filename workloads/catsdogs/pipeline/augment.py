"""Random changes of a training batch that leave a cat a cat: crop, mirror, turn, light, colour, a hidden part.
It must not be used for validation, test or serving, and must take all its chance from the given generator."""

from __future__ import annotations

import math

import torch

from catsdogs.model import normalize

ZOOM = (0.55, 1.1)  # share of the side that is seen
MARGIN = 0.08  # of half the side, that a crop may reach over the edge
STRETCH = 0.15  # natural log of the change of aspect
TURN = math.radians(15)
BRIGHTNESS = 0.3  # added, on the normalised scale
TINT = 0.1  # the same for each channel
CONTRAST = 0.3
SATURATION = 0.4
GRAY = 0.1  # share of pictures without colour
HIDDEN = 0.3  # share of pictures with a hidden rectangle (random erasing, Zhong et al. 2020)
HIDDEN_SIDE = (0.15, 0.5)  # of the picture's side


def augment(pixels: torch.Tensor, generator: torch.Generator, side: int) -> torch.Tensor:
    """uint8 (N, 3, S, S) in 0..255 to normalised float32 (N, 3, side, side) in channels_last, changed at random.

    The generator is of the CPU, so that chance is the same on every device.
    """
    count = len(pixels)
    affine = _affine(count, generator).to(pixels.device)
    grid = torch.nn.functional.affine_grid(affine, [count, 3, side, side], False)
    warped = torch.nn.functional.grid_sample(
        normalize(pixels), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    hidden = _rectangles(count, side, generator).to(pixels.device)
    return _light(warped, generator).masked_fill_(hidden, 0.0).contiguous(memory_format=torch.channels_last)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _affine(count: int, generator: torch.Generator) -> torch.Tensor:
    """(N, 2, 3) maps from output to input coordinates, both in -1..1; areas are drawn evenly."""
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = _uniform(count, -TURN, TURN, generator)
    zoom = torch.sqrt(_uniform(count, ZOOM[0] ** 2, ZOOM[1] ** 2, generator))
    stretch = torch.exp(_uniform(count, -STRETCH, STRETCH, generator))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    room = (1 - zoom).clamp(min=0) + MARGIN
    shift = _uniform(2 * count, -1, 1, generator).view(2, count) * room
    rows = (
        torch.stack((mirror * zoom * stretch * cosine, -zoom * stretch * sine, shift[0]), dim=1),
        torch.stack((mirror * zoom / stretch * sine, zoom / stretch * cosine, shift[1]), dim=1),
    )
    return torch.stack(rows, dim=1)


def _light(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Saturation about a pixel's gray, contrast about the picture's mean, brightness, tint."""
    count = len(batch)

    def factor(low: float, high: float, channels: int = 1) -> torch.Tensor:
        return _uniform(count * channels, low, high, generator).view(count, channels, 1, 1).to(batch.device)

    gray = batch.mean(dim=1, keepdim=True)
    coloured = (torch.rand(count, generator=generator) >= GRAY).view(-1, 1, 1, 1).to(batch.device)
    batch = gray + (batch - gray) * factor(1 - SATURATION, 1 + SATURATION) * coloured
    mean = gray.mean(dim=(2, 3), keepdim=True)
    batch = mean + (batch - mean) * factor(1 - CONTRAST, 1 + CONTRAST)
    return batch + factor(-BRIGHTNESS, BRIGHTNESS) + factor(-TINT, TINT, 3)


def _rectangles(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """(N, 1, side, side), True inside one rectangle for HIDDEN of the pictures."""
    low, high = math.log(HIDDEN_SIDE[0]), math.log(HIDDEN_SIDE[1])
    width, height = (torch.exp(_uniform(count, low, high, generator)) for _ in range(2))
    centre = torch.rand(2, count, generator=generator)
    chosen = torch.rand(count, generator=generator) < HIDDEN
    place = (torch.arange(side) + 0.5) / side
    columns = (place - centre[0, :, None]).abs() < width[:, None] / 2
    rows = (place - centre[1, :, None]).abs() < height[:, None] / 2
    return (rows[:, None, :, None] & columns[:, None, None, :]) & chosen[:, None, None, None]
