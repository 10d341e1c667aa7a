"""Figures of long proofs, printed at the end of a pytest run: how many plans, lives and specs were tried.

`tell` collects them; the conftest of each folder prints them.
"""

from __future__ import annotations

FIGURES: list[str] = []


def tell(line: str) -> None:
    """Print `line` once the tests have ended."""
    FIGURES.append(line)
