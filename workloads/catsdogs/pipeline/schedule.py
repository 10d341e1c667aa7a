"""The learning rate over a training: OneCycle that still comes to its end when the time limit is nearer.
It must not read a clock: the seconds are given to it."""

from __future__ import annotations

import math
from typing import Any

WARM_UP = 0.25  # share of the schedule in which the rate rises
FIRST = 0.08  # first rate, as share of the highest
LAST = 0.004
SAFETY = 0.97  # share of the time limit that is planned with


class Schedule:
    """Position 0..1 in a OneCycle (Smith & Topin 2017, cosine form) over `epochs`, or as many as fit the time.

    Without time pressure the positions depend on nothing but the steps, so that a training is repeatable.
    """

    def __init__(self, rate: float, epochs: int, max_seconds: float) -> None:
        self.rate = rate
        self.wanted = epochs
        self.epochs = epochs  # as planned now: `wanted`, or fewer
        self.max_seconds = max_seconds
        self.epochs_done = 0
        self.position = 0.0  # at the start of the current epoch
        self.shortened = False
        self.cut = False

    @property
    def finished(self) -> bool:
        """Whether the training is through."""
        return self.cut or self.epochs_done >= self.epochs

    def rate_at(self, share: float) -> float:
        """The learning rate when `share` (0..1) of the current epoch is done."""
        left = max(self.epochs - self.epochs_done, 1)
        position = min(1.0, self.position + (1.0 - self.position) * share / left)
        if position < WARM_UP:
            return self.rate * _cosine(FIRST, 1.0, position / WARM_UP)
        return self.rate * _cosine(1.0, LAST, (position - WARM_UP) / (1.0 - WARM_UP))

    def out_of_time(self, seconds: float) -> bool:
        """Whether `seconds` of training are over the limit; if so, the training ends with this epoch."""
        if seconds >= self.max_seconds:
            self.cut = self.shortened = True
        return self.cut

    def epoch_done(self, seconds: float) -> None:
        """Close an epoch after `seconds` of training in all, and plan as many more as fit into the time."""
        left = max(self.epochs - self.epochs_done, 1)
        self.position += (1.0 - self.position) / left
        self.epochs_done += 1
        fitting = int((self.max_seconds * SAFETY - seconds) / (seconds / self.epochs_done))
        self.epochs = min(self.wanted, self.epochs_done + max(fitting, 0))
        # Once shortened, the rates were not those of an unhurried training, even if all epochs fit in the end.
        self.shortened = self.shortened or self.epochs < self.wanted

    def state_dict(self) -> dict[str, Any]:
        """What changes, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` left off."""
        vars(self).update(state)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
