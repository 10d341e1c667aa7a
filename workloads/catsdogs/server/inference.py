"""The trained network rewritten for one picture at a time on a CPU: same weights, same answers, a third less time.
It must not be used for training, nor at all where it answers otherwise than the network that it was made from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from catsdogs import model

logger = logging.getLogger("catsdogs.server")

# The greatest difference of a probability from the trained network's that still counts as the same answer.
TOLERANCE = 1e-5
Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Step:
    """A convolution with the normalisation and the ReLU after it in one pass; `affine` where they can't be merged."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    padding: list[int]
    stride: list[int]
    pool: nn.Module | None
    affine: nn.Module | None

    def __call__(self, maps: Any) -> Any:
        after = "relu" if self.affine is None else "none"
        convolve = torch.ops.mkldnn._convolution_pointwise
        maps = convolve(maps, self.weight, self.bias, self.padding, self.stride, [1, 1], 1, after, [], "")
        if self.pool is not None:
            maps = self.pool(maps)
        return maps if self.affine is None else self.affine(maps).relu_()


def fast(module: nn.Module, size: int) -> Network:
    """Normalised (1, 3, size, size) in channels_last to logits (1, 2).

    PyTorch takes a slow path for small maps at batch 1, and packs the weights anew for each call: here oneDNN always
    convolves, with weights packed once. Gives `module` itself where that can't be done or answers differ.
    """
    try:
        with torch.inference_mode():
            steps = list(_steps(module, size))
        answer: Any = module.answer

        def network(maps: torch.Tensor) -> Any:
            for step in steps:
                maps = step(maps)
            return answer(maps)

        difference = _difference(module, network, size)
    except Exception as error:  # another version of torch, or a processor that oneDNN does not know
        logger.warning("the network can't be rewritten and runs as trained: %s", error)
        return module
    if not difference <= TOLERANCE:
        logger.warning("the rewritten network differs by %.2g: the network runs as trained", difference)
        return module
    return network


def _steps(module: nn.Module, size: int) -> Iterator[_Step]:
    layers = iter([layer for block in module.features for layer in block])  # type: ignore[union-attr]
    shape = [1, 3, size, size]
    for convolution in layers:
        layer = next(layers)
        pool, norm = (layer, next(layers)) if isinstance(layer, nn.MaxPool2d) else (None, layer)
        next(layers)  # the ReLU
        weight, bias, affine = _merged(convolution, norm, pool is not None)
        padding, stride = list(convolution.padding), list(convolution.stride)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, [1, 1], 1, shape)
        yield _Step(packed, bias, padding, stride, pool, affine)
        with torch.device("meta"):
            maps = nn.functional.conv2d(torch.empty(shape), torch.empty(weight.shape), None, stride, padding)
            shape = list((maps if pool is None else pool(maps)).shape)


def _merged(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d, pooled: bool
) -> tuple[torch.Tensor, torch.Tensor | None, nn.Module | None]:
    """Weight and bias that also normalise; or the normalisation itself, when it has to wait for the pooling:
    a factor below zero would make the greatest value the least."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    if pooled and not bool((scale > 0).all()):
        return convolution.weight, None, norm
    weight = (convolution.weight * scale.view(-1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
    return weight, norm.bias - norm.running_mean * scale, None


def _difference(module: nn.Module, network: Network, size: int) -> float:
    """The greatest difference of a probability, over pictures of noise from dark to bright."""
    random = torch.Generator().manual_seed(0)
    worst = 0.0
    with torch.inference_mode():
        for top in (2, 64, 128, 192, 256):
            picture = torch.randint(0, top, (1, 3, size, size), dtype=torch.uint8, generator=random)
            maps = model.normalize(picture)
            pair = [model.probabilities(each(maps)) for each in (module, network)]
            worst = max(worst, float((pair[0] - pair[1]).abs().max()))
    return worst
