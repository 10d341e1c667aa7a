"""The decision: a pure function from figures and the policy to one of the verdicts and a sentence about it.
It must not read, measure or ask anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from catsdogs import key
from catsdogs.gate.comparison import Interval, chance_of_refusal
from catsdogs.gate.settings import Settings
from catsdogs.pipeline import metrics

ACCEPTED = "Accepted"
LEAST_P = 0.05
REFUSED_RARELY = 1.645  # standard errors above which an equal model is refused in at most 1 of 20 cases

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Ruling:
    """A verdict and one line for a person, with the figures and what to do."""

    verdict: str
    message: str


class Refused(Exception):  # noqa: N818 - a verdict; nothing went wrong in the program
    """A verdict that is clear before anything is measured."""

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(message)
        self.ruling = Ruling(verdict, message)


def sane(probabilities: Array, labels: Array) -> Ruling | None:
    """SanityFailed when the answers (N, 2) to labels (N,) are all of one class, or no better than chance."""
    answers = probabilities.argmax(axis=1)
    if len(set(answers.tolist())) == 1:
        label = key.CLASSES[int(answers[0])]
        return Ruling("SanityFailed", f"the candidate calls all {len(answers)} pictures {label}: look at its training")
    matrix = metrics.confusion(answers, labels)
    chance = metrics.chance_p(matrix)
    if chance >= LEAST_P:
        share = (matrix[0][0] + matrix[1][1]) / len(labels)
        return Ruling(
            "SanityFailed",
            f"the candidate is no better than labels dealt out at random: {share:.1%} of {len(labels)} pictures right "
            f"(permutation test, p = {chance:.2g}): look at its labels and its training",
        )
    return None


def rule(settings: Settings, count: int, candidate: Interval, difference: Interval | None) -> Ruling:
    """The verdict on a sane candidate by `count` pictures; `difference` is None when nothing is compared."""
    measured = f"{settings.metric} {candidate.value:.3f} on {count} pictures"
    if candidate.value < settings.minimum:
        short = f"is below the minimum of {settings.minimum:g}: train a better model, or lower gate.minimum"
        return Ruling("BelowMinimum", f"{measured} ({candidate.low:.3f} to {candidate.high:.3f}) {short}")
    if difference is None:
        return Ruling(ACCEPTED, f"{measured} reaches the minimum of {settings.minimum:g}; compared with no other model")
    said = (
        f"{measured}, {difference.value:+.3f} against the serving model "
        f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f})"
    )
    allowed = settings.max_regression
    if difference.low >= -allowed:
        return Ruling(ACCEPTED, f"{said}: {_better(difference, allowed)}")
    if difference.value < -allowed and difference.high < 0:
        return Ruling("WorseThanServing", f"{said}: worse, and by more than {allowed:g}: train a better model")
    if difference.value >= -allowed and settings.inconclusive == "Accept":
        return Ruling(ACCEPTED, f"{said}: inconclusive, accepted since the policy accepts {0 - allowed:+g} and better")
    return Ruling("Inconclusive", f"{said}: {_more(settings, count, difference)}")


def _better(difference: Interval, allowed: float) -> str:
    return "better" if difference.low > 0 else f"not worse by more than {allowed:g}"


def _more(settings: Settings, count: int, difference: Interval) -> str:
    """Why that is not enough, how often an equal model meets with it, and what would help."""
    chance = chance_of_refusal(difference.error, settings.max_regression, settings.inconclusive)
    margin = REFUSED_RARELY if settings.inconclusive == "Accept" else REFUSED_RARELY + 1.96
    enough = math.ceil(margin * difference.error * 1000) / 1000
    ways = [f"a maxRegression of {enough:g}"]
    if settings.max_regression > 0:
        pictures = math.ceil(count * (enough / settings.max_regression) ** 2 / 100) * 100
        ways.append(f"a set of {pictures:,} pictures")
    return (
        f"inconclusive. {chance:.0%} of equally good models end so on this set; "
        f"{' or '.join(ways)} would make that 5%; or override the gate"
    )
