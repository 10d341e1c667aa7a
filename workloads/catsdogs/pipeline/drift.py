"""How far one version of the data is from the one before it: by summaries alone, so that nothing old is read again.
It must not read files, and must not judge whether a shift is bad: it says which are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

QUANTILES = 101
LEAST_KS = 0.05  # below this a shift is of no use to anybody, however sure it is
CRITICAL = 1.628  # Kolmogorov-Smirnov at the level of 1 %, times the root of (n + m) / (n m)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Count, mean, deviation and 101 quantiles of numbers, at least one: enough to compare with later ones."""
    numbers = np.asarray(values, dtype=np.float64)
    return {
        "count": len(numbers),
        "mean": _short(numbers.mean()),
        "deviation": _short(numbers.std()),
        "quantiles": [_short(value) for value in np.quantile(numbers, np.linspace(0, 1, QUANTILES))],
    }


def _short(value: Any) -> float:
    return float(f"{float(value):.5g}")


def compare(previous: Mapping[str, Any] | None, summary: Mapping[str, Any], newcomers: int) -> dict[str, Any] | None:
    """The shift from the summary before to this one, or None when there is none to compare with.

    `newcomers`: photographs that no version before had. Each measure gets its Kolmogorov-Smirnov distance (0 to 1),
    its standardized mean difference (Cohen's d), and whether the distance is more than chance at the level of 1 %.
    """
    if previous is None or "spreads" not in previous:
        return None
    share = {"before": _cats(previous), "now": _cats(summary)}
    return {
        "against": previous["dataVersion"],
        "newcomers": newcomers,
        "left": max(0, previous["photographs"] + newcomers - summary["photographs"]),
        "cats": share,
        "measures": {
            name: _measure(previous["spreads"][name], now)
            for name, now in summary["spreads"].items()
            if name in previous["spreads"]
        },
    }


def _cats(summary: Mapping[str, Any]) -> float:
    return round(float(summary["classes"]["cat"]["photographs"] / summary["photographs"]), 4)


def _measure(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    distance = ks(before["quantiles"], now["quantiles"])
    n, m = before["count"], now["count"]
    pooled = ((before["deviation"] ** 2 + now["deviation"] ** 2) / 2) ** 0.5
    return {
        "before": before["quantiles"][QUANTILES // 2],
        "now": now["quantiles"][QUANTILES // 2],
        "ks": round(distance, 4),
        "meanDifference": round((now["mean"] - before["mean"]) / pooled, 4) if pooled else 0.0,
        "shifted": distance > max(LEAST_KS, CRITICAL * ((n + m) / (n * m)) ** 0.5),
    }


def ks(first: Sequence[float], second: Sequence[float]) -> float:
    """The Kolmogorov-Smirnov distance, 0 to 1, of two samples told by their quantiles; exact to about 0.02."""
    values = np.union1d(first, second)
    hair = 1e-9 * max(float(np.abs(values).max()), 1.0)
    # Just before and just after each value: many photographs may have the very same width.
    places = np.concatenate([values - hair, values + hair])
    return float(np.abs(_share_below(first, places) - _share_below(second, places)).max())


def _share_below(quantiles: Sequence[float], places: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    share: np.ndarray[Any, Any] = np.interp(places, quantiles, np.linspace(0, 1, len(quantiles)), left=0.0, right=1.0)
    return share
