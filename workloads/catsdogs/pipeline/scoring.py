"""What a network says of a split, and how good that is: the same for choosing on val and measuring on test.
It must not train, and must not choose a split itself."""

from __future__ import annotations

import torch
from torch import nn

from catsdogs import model as models
from catsdogs.pipeline.device import Device


@torch.inference_mode()
def logits_of(module: nn.Module, pixels: torch.Tensor, device: Device, batch: int = 256) -> torch.Tensor:
    """Logits (N, 2), float32 on the CPU, of uint8 pixels (N, 3, S, S) in eval mode."""
    module.eval()
    parts = [torch.empty(0, 2)]
    for part in torch.split(pixels, batch) if len(pixels) else ():
        with device.autocast():
            parts.append(module(models.normalize(part.to(device.torch))).float().cpu())
    return torch.cat(parts)


def measured(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross entropy and accuracy (0..1) of logits (N, 2)."""
    loss = float(nn.functional.cross_entropy(logits, labels).item())
    return loss, (logits.argmax(dim=1) == labels).double().mean().item()


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The divisor of the logits, 0.25 to 4, with the lowest val loss (Guo et al. 2017, temperature scaling)."""
    candidates = [round(2 ** (exponent / 16), 4) for exponent in range(-32, 33)]
    losses = [nn.functional.cross_entropy(logits / value, labels).item() for value in candidates]
    return candidates[losses.index(min(losses))]
