"""Learning rate and picture size over a training: OneCycle that still comes to its end when the time limit is nearer.
It must not read a clock: the seconds are given to it."""

from __future__ import annotations

import math
from typing import Any

WARM_UP = 0.2  # share of the schedule in which the rate rises
FIRST = 0.05  # first rate, as share of the highest
LAST = 0.002
SAFETY = 0.97  # share of the time limit that is planned with
FULL = ((1.0, 1.0),)
MOVING = ("epochs", "epochs_done", "position", "work", "shortened", "cut")


class Schedule:
    """Position 0..1 in a OneCycle (Smith & Topin 2017, cosine form) over `epochs`, or as many as fit the time.

    `sides` are steps (until this position, with this share of the picture's side), the last one (1.0, 1.0); an
    epoch's cost is planned as the square of its side. Without time pressure rate and side depend on nothing but
    the steps, so that a training is repeatable.
    """

    def __init__(
        self, rate: float, epochs: int, max_seconds: float, sides: tuple[tuple[float, float], ...] = FULL
    ) -> None:
        self.rate = rate
        self.wanted = epochs
        self.max_seconds = max_seconds
        self.sides = sides
        self.epochs = epochs  # as planned now: `wanted`, or fewer
        self.epochs_done = 0
        self.position = 0.0  # at the start of the current epoch
        self.work = 0.0  # epochs done, each weighted by its cost
        self.shortened = False
        self.cut = False

    @property
    def finished(self) -> bool:
        """Whether the training is through."""
        return self.cut or self.epochs_done >= self.epochs

    @property
    def side(self) -> float:
        """Share of the picture's side (0..1) in the current epoch; the last epoch always sees all of it."""
        end = self.position + self._step()
        return next(side for until, side in self.sides if end <= until + 1e-9 or until == 1.0)

    def rate_at(self, share: float) -> float:
        """The learning rate when `share` (0..1) of the current epoch is done."""
        position = min(1.0, self.position + self._step() * share)
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
        self.work += self.side**2
        self.position += self._step()
        self.epochs_done += 1
        per_epoch = self._cost_ahead() * seconds / self.work
        fitting = int((self.max_seconds * SAFETY - seconds) / per_epoch)
        self.epochs = min(self.wanted, self.epochs_done + max(fitting, 0))
        # Once shortened, the rates were not those of an unhurried training, even if all epochs fit in the end.
        self.shortened = self.shortened or self.epochs < self.wanted

    def seconds_left(self, seconds: float) -> float:
        """How long the planned epochs will take, after `seconds` of training."""
        return (self.epochs - self.epochs_done) * self._cost_ahead() * seconds / max(self.work, 1e-9)

    def state_dict(self) -> dict[str, Any]:
        """What changes, for a checkpoint."""
        return {name: getattr(self, name) for name in MOVING}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` left off."""
        vars(self).update(state)

    def _step(self) -> float:
        return (1.0 - self.position) / max(self.epochs - self.epochs_done, 1)

    def _cost_ahead(self) -> float:
        """Mean cost of an epoch between here and the end."""
        begin = start = min(self.position, 1.0 - 1e-9)
        total = 0.0
        for until, side in self.sides:
            total += max(until - begin, 0.0) * side**2
            begin = max(begin, until)
        return total / (1.0 - start)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
