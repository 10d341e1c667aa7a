"""Which parts of a picture spoke for the answer and which against it, read off the network itself.
It must not approximate: the map adds up to the difference of the two logits.

The head is linear over the mean and the maximum of each feature map, so that its output is a sum over places: each
place gives its share of the means, and the place of a maximum gives that maximum (class activation mapping, Zhou et
al. 2016, https://arxiv.org/abs/1512.04150, with maximum pooling added).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from catsdogs import images, model
from catsdogs.server.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Explained(Prediction):
    """A prediction and what each place gave, in logits: positive speaks for the label, negative against it.

    `values` has rows from the top, of places from the left. With `bias` they add up to the label's logit less the
    other class's.
    """

    values: list[list[float]]
    bias: float


def explain(predictor: Predictor, picture: bytes) -> Explained:
    """The answer for one JPEG or PNG with its map. Raises images.BadImage."""
    network: Any = predictor.module  # features and a linear head, as all of model.ARCHITECTURES
    begin = time.perf_counter()
    pixels = images.decode(picture, predictor.image_size)
    decoded = time.perf_counter()
    with torch.inference_mode():
        maps = network.features(model.normalize(pixels.unsqueeze(0)))[0]
        places, bias = contributions(network.head, maps)
        logits = places.sum(dim=(1, 2)) + bias
        shares = model.probabilities(logits.unsqueeze(0), predictor.temperature)[0].tolist()
        best = int(logits.argmax())
        values, offset = places[best] - places[1 - best], float(bias[best] - bias[1 - best])
    end = time.perf_counter()
    probabilities = dict(zip(predictor.classes, shares, strict=True))
    rows = [[round(value, 5) for value in row] for row in values.tolist()]
    return Explained(probabilities, decoded - begin, end - decoded, rows, offset)


def contributions(head: torch.nn.Linear, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Feature maps (C, H, W) to what each place gives to each logit (2, H, W), and the bias (2,).

    Places that share a maximum share what it gives.
    """
    channels, height, width = maps.shape
    of_mean, of_maximum = head.weight[:, :channels], head.weight[:, channels:]
    at_maximum = maps == maps.amax(dim=(1, 2), keepdim=True)
    peaks = maps * at_maximum / at_maximum.sum(dim=(1, 2), keepdim=True)
    flat = of_mean @ (maps / (height * width)).flatten(1) + of_maximum @ peaks.flatten(1)
    return flat.view(-1, height, width), head.bias
