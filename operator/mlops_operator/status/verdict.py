"""What the gate's Job says of a candidate: its verdict, that it is at work, or why there is none.

Reads Job, pods and report as they are given; texts are cut and figures checked, since a model had a hand in them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.api.gate import JUDGES
from mlops_operator.status.conditions import get_condition
from mlops_operator.status.pod import as_object, newest

ACCEPTED = "Accepted"
REFUSALS = (
    "BelowMinimum",
    "WorseThanServing",
    "EvalSetMismatch",
    "SanityFailed",
    "SmokeFailed",
    "Inconclusive",
)
SHARES = ("candidateValue", "candidateLow", "candidateHigh", "servingValue", "disagreement")
DIFFERENCES = ("difference", "differenceLow", "differenceHigh")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Verdict:
    """`reason` is ACCEPTED, one of REFUSALS, or "" when the judge could not judge; `figures` go to the status."""

    reason: str
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def judges(job: Mapping[str, Any] | None) -> str:
    """The pair that this Job judges, "" without a Job."""
    return str((job or {}).get("metadata", {}).get("annotations", {}).get(JUDGES, "")) if job else ""


def ended(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition that ended the Job, or None while it is at work."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    for kind in ("Complete", "Failed"):
        condition = get_condition(conditions, kind)
        if condition is not None and condition["status"] == "True":
            return condition
    return None


def verdict_of(
    job: Mapping[str, Any], pods: tuple[Mapping[str, Any], ...], report: Mapping[str, Any] | None, sha256: str
) -> Verdict | None:
    """The verdict on `sha256` of a Job that has ended; None: its pod is gone and the report is not read yet."""
    condition = ended(job)
    if condition is None:
        return None
    text = _last_words(newest(pods))
    said = as_object(text)
    if condition["type"] == "Failed":
        why = _line(said.get("message")) or (_line(condition.get("message")) or "the judge's Job failed")
        hint = _line(said.get("hint"))
        return Verdict("", f"{why}; {hint}" if hint else why)
    found = said if said.get("ok") is True else report
    if found is None:
        return None
    reason = found.get("verdict")
    if found.get("candidate") != sha256 or reason not in (ACCEPTED, *REFUSALS):
        return Verdict("", "the judge's verdict can't be read: it names another model or no known verdict")
    return Verdict(str(reason), _line(found.get("message")) or str(reason), _figures(found))


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """Shares as strings with four decimals, and what else the status shows; whatever is out of range is left out."""
    numbers = {name: _share(found.get(name), 0.0) for name in SHARES}
    numbers |= {name: _share(found.get(name), -1.0) for name in DIFFERENCES}
    count, digest, report = found.get("count"), found.get("evalSet"), found.get("report")
    smoke = found.get("smokeMillis")
    more = {
        "metric": found.get("metric") if found.get("metric") in ("accuracy", "balancedAccuracy", "rocAuc") else None,
        "count": count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**7 else None,
        "evalSet": digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None,
        "report": report[:1024] if isinstance(report, str) and report.startswith("gs://") else None,
        "smokeMillis": round(smoke) if isinstance(smoke, int | float) and 0 <= smoke < 10**7 else None,
    }
    return {name: value for name, value in {**numbers, **more}.items() if value is not None}


def _share(value: Any, least: float) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1:
        return None
    return f"{value:.4f}"


def _last_words(pod: Mapping[str, Any] | None) -> str:
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ended_ = (container.get("state") or {}).get("terminated") or {}
        if ended_.get("message"):
            return str(ended_["message"])
    return ""


def _line(text: Any) -> str:
    return " ".join(text.split())[:600] if isinstance(text, str) else ""
