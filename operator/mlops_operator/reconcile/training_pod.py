"""What a TrainingRun says while its Job is at work: where its pod is, why it waits, what follows a failed attempt.

Pure; it stops a Job only when waiting for its pod has become useless.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlops_operator.api.times import parse_time
from mlops_operator.api.training_run import Observed, TrainingRun
from mlops_operator.builders.job import USER_MISTAKES
from mlops_operator.reconcile.plan import ChildRef, Event, Plan
from mlops_operator.status import attempts
from mlops_operator.status import pod as of_pod
from mlops_operator.status.failure import capsule, exit_code, refusal_reason, sentence, taken_away
from mlops_operator.status.run import active, ended, succeeded_message

Draft = Mapping[str, Any]
NO_POD_RETRY = (5.0, 60.0)
"""First and longest pause, in seconds, between two looks at why a Job has no pod."""


def reconcile(run: TrainingRun, job: Mapping[str, Any], draft: Draft, observed: Observed, now: datetime) -> Plan:
    """The plan for a run whose Job is neither over nor suspended."""
    pod = of_pod.newest(observed.pods)
    if pod is not None and attempts.is_over(draft, pod):
        pod = None
    decided = job_condition(job, "FailureTarget") or job_condition(job, "SuccessCriteriaMet")
    if decided or (pod is not None and of_pod.phase(pod) == "Succeeded"):
        return _await_verdict(run, draft)
    if pod is None:
        return _no_pod(run, job, draft, observed.no_pod, now)
    if of_pod.phase(pod) == "Failed":
        return _between_attempts(run, job, draft, pod, observed, now)
    if stage := of_pod.current_stage(pod):
        message = f"Stage {stage} runs in pod {pod['metadata']['name']}"
        return Plan(status=active(run, draft, of_pod.STAGE_REASONS[stage], message, now))
    since = max(parse_time(draft["activeSince"]), parse_time(pod["metadata"]["creationTimestamp"]))
    return _waits(run, job, draft, of_pod.waiting(pod), since, now, of_pod.scheduled_at(pod))


def job_condition(job: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """The Job's condition of that type, if it holds."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition.get("type") == type_ and condition.get("status") == "True":
            return dict(condition)
    return None


def give_up(run: TrainingRun, job: Mapping[str, Any], draft: Draft, reason: str, message: str, now: datetime) -> Plan:
    """End a run whose Job would go on; the Job is deleted after the end is recorded."""
    failure = capsule(run, reason, message, attempts.number(draft), now, stage=draft.get("stage", ""))
    status = ended(run, {**draft, "failure": failure}, False, reason, sentence(failure), now)
    reference = ChildRef("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"])
    return Plan(status=status, delete=(reference,))


def _await_verdict(run: TrainingRun, draft: Draft) -> Plan:
    """The Job's own word follows at once: write nothing in between, but record a Job that is not yet."""
    if run.status.get("jobUID"):
        return Plan()
    names = ("jobUID", "image", "bucket", "rawHash", "version", "startTime", "activeSince")
    return Plan(status={**run.status, **{name: draft[name] for name in names}})


def _no_pod(run: TrainingRun, job: Mapping[str, Any], draft: Draft, why: str, now: datetime) -> Plan:
    since = max(parse_time(draft["activeSince"]), parse_time(job["metadata"]["creationTimestamp"]))
    message = f"The Job can't make a pod: {why}" if why else "The Job is made and has no pod yet"
    reason = refusal_reason(why) if why else "Pending"
    plan = _waits(run, job, draft, of_pod.Waiting(reason, message), since, now)
    if plan.requeue_after is None:
        return plan
    first, longest = NO_POD_RETRY
    pause = min(longest, max(first, (now - since).total_seconds()))
    return Plan(**{**vars(plan), "requeue_after": min(plan.requeue_after, pause)})


def _waits(
    run: TrainingRun,
    job: Mapping[str, Any],
    draft: Draft,
    why: of_pod.Waiting,
    since: datetime,
    now: datetime,
    scheduled: datetime | None = None,
) -> Plan:
    """A pod that does not run yet, or is not even made: wait up to the limits, then give up."""
    limit = since + timedelta(seconds=run.spec.pending_deadline_seconds)
    if why.patience is not None and scheduled is not None:
        limit = min(limit, scheduled + timedelta(seconds=why.patience))
    if now >= limit:
        reason = "NotStarted" if why.reason == "Pending" else why.reason
        return give_up(run, job, draft, reason, why.message, now)
    status = active(run, draft, "Pending", why.message, now)
    return Plan(status=status, events=_trouble(run, why), requeue_after=(limit - now).total_seconds())


def _trouble(run: TrainingRun, why: of_pod.Waiting) -> tuple[Event, ...]:
    """The first time that a pod waits for this reason, it is worth an event: "Pending" alone tells nobody why."""
    what = why.message.partition(":")[0]
    if why.reason == "Pending" or succeeded_message(run.status).startswith(what):
        return ()
    return (Event("Warning", why.reason, why.message),)


def _between_attempts(
    run: TrainingRun,
    job: Mapping[str, Any],
    draft: Draft,
    pod: Mapping[str, Any],
    observed: Observed,
    now: datetime,
) -> Plan:
    """A pod failed and the Job has not yet said what follows; where it can only end, wait for its word."""
    failed = sum(of_pod.phase(p) == "Failed" and not taken_away(p) for p in observed.pods)
    failed = max(failed, job.get("status", {}).get("failed", 0))
    if not taken_away(pod) and (failed > run.spec.retries or exit_code(pod) in USER_MISTAKES):
        return _await_verdict(run, draft)
    failure = draft["failure"]
    what = f"{failure['reason']}: {failure['message']}"
    message = f"Attempt {attempts.number(draft)} ended with {what}; trying again"
    return Plan(status=active(run, draft, "Retrying", message, now))
