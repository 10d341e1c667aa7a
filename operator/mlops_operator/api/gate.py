"""What must be proved of a model before and after it gets in: gate, smoke and watch of a ModelServer's spec.

Parsed once, with the CRD's defaults; nothing here decides anything.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.api.training_run import GROUP

JUDGES = f"{GROUP}/judges"
RETRY = f"{GROUP}/retry"
PROMOTE, PROMOTE_BY, PROMOTE_REASON = (f"{GROUP}/promote", f"{GROUP}/promoted-by", f"{GROUP}/promote-reason")


@dataclass(frozen=True)
class Gate:
    """`policy` Compare, Minimum or None; shares are decimal strings from 0 to 1; `eval_set` a digest or ""."""

    policy: str = "Compare"
    metric: str = "accuracy"
    minimum: str = "0.6"
    max_regression: str = "0.01"
    inconclusive: str = "Accept"
    eval_set: str = ""


@dataclass(frozen=True)
class Smoke:
    """`policy` Requests or None; the 95th percentile of a request may take `max_millis` at most, 0: any time."""

    policy: str = "Requests"
    max_millis: int = 0


@dataclass(frozen=True)
class Watch:
    """Seconds after the roll in which `max_error_rate` (0 to 1) and `max_p95_millis` must hold.

    0 milliseconds: measured by the baseline before the roll. Below `min_requests` nothing is concluded.
    """

    window_seconds: int = 60
    max_error_rate: float = 0.02
    max_p95_millis: int = 0
    min_requests: int = 50


@dataclass(frozen=True)
class Admission:
    """All of it, and `terms`: a hash of modelFrom and these three, with which a refusal stands or falls."""

    gate: Gate = field(default_factory=Gate)
    smoke: Smoke = field(default_factory=Smoke)
    watch: Watch = field(default_factory=Watch)
    terms: str = ""

    @property
    def judged(self) -> bool:
        """Whether a candidate is started and judged at all."""
        return self.gate.policy != "None" or self.smoke.policy != "None"


def parse_admission(spec: Mapping[str, Any]) -> Admission:
    """From a ModelServer's spec."""
    given_gate, given_smoke, given_watch = (spec.get(name) or {} for name in ("gate", "smoke", "watch"))
    gate = Gate(
        policy=given_gate.get("policy", "Compare"),
        metric=given_gate.get("metric", "accuracy"),
        minimum=given_gate.get("minimum", "0.6"),
        max_regression=given_gate.get("maxRegression", "0.01"),
        inconclusive=given_gate.get("inconclusive", "Accept"),
        eval_set=given_gate.get("evalSet", ""),
    )
    smoke = Smoke(policy=given_smoke.get("policy", "Requests"), max_millis=given_smoke.get("maxMillis", 0))
    watch = Watch(
        window_seconds=given_watch.get("windowSeconds", 60),
        max_error_rate=float(given_watch.get("maxErrorRate", "0.02")),
        max_p95_millis=given_watch.get("maxP95Millis", 0),
        min_requests=given_watch.get("minRequests", 50),
    )
    told = json.dumps([spec.get("modelFrom"), vars(gate), vars(smoke), vars(watch)], sort_keys=True)
    return Admission(gate, smoke, watch, terms=hashlib.sha256(told.encode()).hexdigest()[:16])


@dataclass(frozen=True)
class Traffic:
    """What one pod has answered on /predict since it started: requests, those that failed (5xx), and
    cumulative counts by upper bound in seconds."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[tuple[float, int], ...] = ()

    @property
    def error_rate(self) -> float:
        """Share of failed requests, 0 without any."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def p95(self) -> float:
        """The 95th percentile in seconds, interpolated within its bucket as PromQL's histogram_quantile does."""
        rank, before, low = 0.95 * self.requests, 0, 0.0
        for bound, count in self.buckets:
            if count >= rank and count > before:
                if bound == float("inf"):
                    return low
                return low + (bound - low) * (rank - before) / (count - before)
            before, low = count, bound
        return low


def together(parts: tuple[Traffic, ...]) -> Traffic:
    """The traffic of several pods with the same bounds."""
    bounds = sorted({bound for part in parts for bound, _ in part.buckets})
    counts = [sum(dict(part.buckets).get(bound, 0) for part in parts) for bound in bounds]
    return Traffic(
        sum(part.requests for part in parts),
        sum(part.errors for part in parts),
        tuple(zip(bounds, counts, strict=True)),
    )
