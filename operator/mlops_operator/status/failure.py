"""The failure capsule: stage, reason, exit code, message, log and hint of a failed attempt.

Filled from the pod's own status while it is there, so that it outlives the pod; decides nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_operator.api.times import timestamp
from mlops_operator.api.training_run import TERMINATED, TrainingRun
from mlops_operator.status.pod import STAGE_NAMES, as_object, stages
from mlops_operator.status.reasons import HINTS

LOG_BYTES = 1024
TEXT = 1024

EXIT_REASONS: Mapping[int, str] = {
    65: "DataError",
    66: "BucketNotFound",
    67: "DataChanged",
    74: "DiskFull",
    75: "Unavailable",
    77: "PermissionDenied",
    78: "ConfigError",
    137: "Killed",
    TERMINATED: "Terminated",
}

# Of these the stage knows no more than that they happened.
OWN_HINT = ("Crashed", "OOMKilled")

_DISRUPTIONS: Mapping[str, str] = {
    "PreemptionByScheduler": "Preempted",
    "EvictionByEvictionAPI": "Evicted",
    "TerminationByKubelet": "Evicted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
}


def capsule(
    run: TrainingRun, reason: str, message: str, attempt: int, now: datetime, stage: str = ""
) -> dict[str, Any]:
    """A capsule for a failure that no container reported, such as a deadline."""
    return _clean(
        {
            "stage": stage or run.status.get("stage"),
            "reason": reason,
            "message": message[:TEXT],
            "hint": HINTS.get(reason),
            "attempt": attempt or None,
            "time": timestamp(now),
        }
    )


def pod_capsule(run: TrainingRun, pod: Mapping[str, Any], attempt: int, now: datetime) -> dict[str, Any]:
    """The capsule of a pod that failed: the first stage that ended badly, or the pod's own reason."""
    disruption = _disruption(pod)
    for name, container in stages(pod):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode") != 0:
            found = _stage_capsule(STAGE_NAMES[name], ended, attempt, now)
            if disruption:
                reason, message = disruption
                return {**found, "reason": reason, "message": message, "hint": HINTS[reason]}
            return found
    reason, message = disruption or ("StageFailed", _pod_message(pod))
    return capsule(run, reason, message, attempt, now)


def sentence(failure: Mapping[str, Any]) -> str:
    """Message and hint of a capsule, for a condition."""
    message, hint = str(failure["message"]).rstrip("."), failure.get("hint")
    return f"{message}. {hint}" if hint else message


def exit_code(pod: Mapping[str, Any]) -> int | None:
    """The first exit code other than 0 of a stage of `pod`, or None."""
    for _, container in stages(pod):
        code = container.get("state", {}).get("terminated", {}).get("exitCode", 0)
        if code != 0:
            return int(code)
    return None


def disrupted(pod: Mapping[str, Any]) -> bool:
    """Whether the cluster itself ended the pod, which the Job does not count as a failure."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c.get("type") == "DisruptionTarget" and c.get("status") == "True" for c in conditions)


def taken_away(pod: Mapping[str, Any]) -> bool:
    """Whether the failed pod counts as no failure of the run: the Job's podFailurePolicy says the same."""
    return disrupted(pod) or exit_code(pod) == TERMINATED


def refusal_reason(text: str) -> str:
    """The reason for a Job or pod that could not be made, of which the API server said `text`."""
    return "QuotaExceeded" if "exceeded quota" in text else "NotStarted"


def tail(text: str) -> str:
    """The last 1 KiB of `text`, from the start of a line where there is one, without control characters."""
    printable = "".join(c for c in text if c in "\n\t" or c.isprintable())
    cut = printable.encode()[-LOG_BYTES:].decode(errors="ignore")
    if len(cut) < len(printable) and "\n" in cut:
        cut = cut.split("\n", 1)[1]
    return cut.strip("\n")


def plain(text: str) -> str:
    """A log of the trainer, of whose lines some are JSON, as a person reads it."""
    return "\n".join(str(as_object(line).get("message", line)) for line in text.splitlines())


def _stage_capsule(stage: str, ended: Mapping[str, Any], attempt: int, now: datetime) -> dict[str, Any]:
    text, code = ended.get("message", ""), ended["exitCode"]
    told = as_object(text)
    report = told if "ok" in told else {}  # else it is a line of the log: the stage was killed before it could report
    reason = "OOMKilled" if ended.get("reason") == "OOMKilled" else _reason(report, code)
    message = report.get("message") or f"Stage {stage} ended with exit code {code}"
    if reason == "OOMKilled":
        message = f"Stage {stage} used more memory than spec.resources.memory allows"
    return _clean(
        {
            "stage": stage,
            "reason": reason,
            "exitCode": code,
            "message": str(message)[:TEXT],
            "log": tail(str(report.get("log", "")) if report else plain(text)),
            "hint": str(HINTS[reason] if reason in OWN_HINT else report.get("hint") or HINTS[reason])[:TEXT],
            "attempt": attempt or None,
            "time": ended.get("finishedAt") or timestamp(now),
        }
    )


def _reason(report: Mapping[str, Any], code: int) -> str:
    given = report.get("reason")
    return given if isinstance(given, str) and given in HINTS else EXIT_REASONS.get(code, "StageFailed")


def _disruption(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    status = pod.get("status", {})
    if status.get("reason") in ("Evicted", "Preempting"):
        reason = "Evicted" if status["reason"] == "Evicted" else "Preempted"
        return reason, str(status.get("message") or f"The pod was {reason.lower()}")[:TEXT]
    for condition in status.get("conditions", ()):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            reason = _DISRUPTIONS.get(condition.get("reason", ""), "Evicted")
            return reason, str(condition.get("message") or f"The pod was {reason.lower()}")[:TEXT]
    return None


def _pod_message(pod: Mapping[str, Any]) -> str:
    status = pod.get("status", {})
    return str(status.get("message") or status.get("reason") or "The pod failed without saying why")


def _clean(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in (None, "")}
