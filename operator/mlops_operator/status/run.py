"""The three conditions of a TrainingRun, its clock, and the two ways to write them: active and ended.

Knows nothing of Jobs and pods; the reasons come from the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.api.training_run import TrainingRun
from mlops_operator.status.attempts import closed
from mlops_operator.status.conditions import Status, get_condition, set_condition
from mlops_operator.status.result import at_end


def finished(status: Mapping[str, Any]) -> bool:
    """Whether the run has ended, in either outcome; such a status is final."""
    condition = get_condition(status.get("conditions", ()), "Finished")
    return condition is not None and condition["status"] == "True"


def succeeded_reason(status: Mapping[str, Any]) -> str:
    """The reason of Succeeded, or an empty string before the first pass."""
    condition = get_condition(status.get("conditions", ()), "Succeeded")
    return str(condition["reason"]) if condition else ""


def succeeded_message(status: Mapping[str, Any]) -> str:
    """The message of Succeeded, or an empty string before the first pass."""
    condition = get_condition(status.get("conditions", ()), "Succeeded")
    return str(condition["message"]) if condition else ""


def active(run: TrainingRun, draft: Mapping[str, Any], reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The status of a run that has not ended: Succeeded is Unknown for `reason`."""
    return _with_conditions(run, draft, ("Unknown", "False"), reason, message, now)


def ended(
    run: TrainingRun, draft: Mapping[str, Any], success: bool, reason: str, message: str, now: datetime
) -> dict[str, Any]:
    """The final status: Finished is True in both outcomes, and the clock stops."""
    done = {**stopped(draft, now), "completionTime": timestamp(now)}
    if "attempts" in done:
        done["attempts"] = closed(done["attempts"], reason, now)
    if "progress" in done:
        done["progress"] = at_end(done["progress"])
    if success:
        done.pop("failure", None)
    return _with_conditions(run, done, ("True" if success else "False", "True"), reason, message, now)


def observe_generation(run: TrainingRun) -> dict[str, Any]:
    """The present status, marked as seen for the present generation: its outcome does not change."""
    conditions = [{**condition, "observedGeneration": run.generation} for condition in run.status.get("conditions", ())]
    return {**run.status, "observedGeneration": run.generation, "conditions": conditions}


def started(draft: Mapping[str, Any], since: datetime) -> dict[str, Any]:
    """The draft with the deadline's clock running, since `since` if it stood still."""
    return {**draft, "activeSince": draft.get("activeSince") or timestamp(since)}


def stopped(draft: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The draft with the deadline's clock stopped and its seconds added up."""
    if "activeSince" not in draft:
        return dict(draft)
    rest = {name: value for name, value in draft.items() if name != "activeSince"}
    return {**rest, "activeSeconds": active_seconds(draft, now)}


def active_seconds(draft: Mapping[str, Any], now: datetime) -> int:
    """Seconds counted against activeDeadlineSeconds until `now`."""
    before = int(draft.get("activeSeconds", 0))
    if "activeSince" not in draft:
        return before
    return before + max(0, int((now - parse_time(draft["activeSince"])).total_seconds()))


def _with_conditions(
    run: TrainingRun,
    draft: Mapping[str, Any],
    succeeded_finished: tuple[Status, Status],
    reason: str,
    message: str,
    now: datetime,
) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = list(draft.get("conditions", ()))
    for type_, value in zip(("Succeeded", "Finished"), succeeded_finished, strict=True):
        conditions = set_condition(conditions, type_, value, reason, message, run.generation, now)
    suspended = reason == "Suspended"
    why = ("Suspended", "spec.suspend is true") if suspended else ("NotSuspended", "spec.suspend is false")
    if not suspended and run.spec.suspend:
        why = ("NotSuspended", "spec.suspend is true, but the run is not stopped by it")
    value_: Status = "True" if suspended else "False"
    conditions = set_condition(conditions, "Suspended", value_, *why, run.generation, now)
    return {**draft, "observedGeneration": run.generation, "conditions": conditions}
