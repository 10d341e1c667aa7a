"""How much work is taken on: pictures waiting or being answered, and bytes of uploads held in memory.
It must not wait: what does not fit is refused at once, so that what is taken is answered soon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Full(Exception):  # noqa: N818 - a state, not a mistake
    """There is no room now; a moment later there may be."""


class Room:
    """A counter with a limit, used from one event loop only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def full(self) -> bool:
        return self.used >= self.limit

    def take(self, amount: int) -> None:
        """Raises Full, and takes nothing, when `amount` does not fit."""
        if self.used + amount > self.limit:
            raise Full
        self.used += amount

    def give_back(self, amount: int) -> None:
        self.used -= amount

    @contextmanager
    def holding(self, amount: int) -> Iterator[None]:
        self.take(amount)
        try:
            yield
        finally:
            self.give_back(amount)
