"""How each architecture is trained, beyond what a TrainingRun's parameters say: found on folds of train and val.
It must not hold anything a user may want to change for one run; that is a parameter, in key.PARAMETERS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Constants of one architecture; shares are of 1.

    `sides` are steps (until this share of the training, with this share of imageSize): small pictures teach the
    most per second at first (progressive resizing, as in Tan & Le 2021), full ones come last.
    """

    rate_factor: float = 1.0  # of the parameter learningRate
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    average_decay: float = 0.99
    sides: tuple[tuple[float, float], ...] = ((0.3, 0.67), (0.6, 0.83), (1.0, 1.0))


RECIPES: Mapping[str, Recipe] = {"SimpleCNN": Recipe(), "DeepCNN": Recipe()}
