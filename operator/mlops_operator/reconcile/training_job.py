"""What a TrainingRun wants while its Job exists: follow the pod, keep the deadlines, record the end.

Pure, and never makes a Job.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlops_operator.api.settings import Settings
from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.api.training_run import Observed, TrainingRun
from mlops_operator.builders.job import BUCKET, IMAGE, RAW_HASH, RUN_VERSION, USER_MISTAKES, job_controls
from mlops_operator.reconcile.plan import ChildRef, Plan
from mlops_operator.status import pod as of_pod
from mlops_operator.status import result
from mlops_operator.status.failure import capsule, disrupted, exit_code, pod_capsule, sentence
from mlops_operator.status.run import active, active_seconds, ended, started, stopped

Draft = Mapping[str, Any]
RETRY_RESULT = 10.0


def reconcile(run: TrainingRun, job: Mapping[str, Any], observed: Observed, settings: Settings, now: datetime) -> Plan:
    """The plan for a run that has not ended and whose Job is `job`."""
    draft = _draft(run, job, observed, now)
    if succeeded(job):
        return _succeeded(run, draft, observed, settings, now)
    if _job_condition(job, "Failed"):
        return _failed(run, job, draft, observed, now)
    if run.spec.suspend:
        return _suspended(run, job, draft, now)
    if active_seconds(draft, now) >= run.spec.active_deadline_seconds:
        message = f"The run took more than activeDeadlineSeconds ({run.spec.active_deadline_seconds} s)"
        return _give_up(run, job, draft, "DeadlineExceeded", message, now)
    plan = _running(run, job, draft, observed, now)
    resume = (_suspend(job, False),) if job["spec"].get("suspend") else ()
    left = run.spec.active_deadline_seconds - active_seconds(draft, now)
    after = min(left, plan.requeue_after) if plan.requeue_after is not None else left
    return Plan(**{**vars(plan), "apply": resume, "requeue_after": None if plan.delete else max(1.0, after)})


def over(job: Mapping[str, Any]) -> bool:
    """Whether the Job has ended and its pods have, too."""
    return succeeded(job) or _job_condition(job, "Failed") is not None


def succeeded(job: Mapping[str, Any]) -> bool:
    """Whether the Job is complete."""
    return _job_condition(job, "Complete") is not None


def evaluated(pods: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any]:
    """What the last stage summed up, if its pod is still there and says it in a usable form."""
    last = of_pod.newest(pod for pod in pods if of_pod.phase(pod) == "Succeeded")
    summary = of_pod.said(last, "evaluate").get("summary") if last else None
    usable = isinstance(summary, Mapping) and isinstance(summary.get("sha256"), str)
    return summary if usable and isinstance(summary, Mapping) else {}


def _draft(run: TrainingRun, job: Mapping[str, Any], observed: Observed, now: datetime) -> dict[str, Any]:
    """The status as far as it follows from the Job alone: keys, clock, attempts, stage, progress."""
    metadata, made = job["metadata"], parse_time(job["metadata"]["creationTimestamp"])
    annotations = metadata.get("annotations", {})
    draft = {
        **run.status,
        "jobUID": metadata["uid"],
        "image": annotations.get(IMAGE, run.status.get("image", "")),
        "bucket": annotations.get(BUCKET, run.status.get("bucket", "")),
        "rawHash": annotations.get(RAW_HASH, run.status.get("rawHash", "")),
        "version": annotations.get(RUN_VERSION, run.status.get("version", "")),
        "startTime": run.status.get("startTime") or timestamp(made),
        "attempts": attempts(run, job, observed.pods),
    }
    if not run.spec.suspend:
        draft = started(draft, now if run.status.get("jobUID") else made)
    pod = of_pod.newest(observed.pods)
    stage = of_pod.current_stage(pod) if pod else None
    if pod is None or stage is None:
        return draft
    progress = result.progress(draft.get("progress", {}), observed.progress, stage)
    summary = of_pod.said(pod, "train").get("summary")
    if isinstance(summary, Mapping):
        progress = result.trained(progress, summary, stage)
    return {**draft, "stage": stage, **({"progress": progress} if progress else {})}


def attempts(run: TrainingRun, job: Mapping[str, Any], pods: tuple[Mapping[str, Any], ...]) -> int:
    """Pods started so far; never fewer than were recorded."""
    status = job.get("status", {})
    counted = sum(int(status.get(name, 0)) for name in ("active", "succeeded", "failed"))
    return max(counted, len(pods), int(run.status.get("attempts", 0)))


def _running(run: TrainingRun, job: Mapping[str, Any], draft: Draft, observed: Observed, now: datetime) -> Plan:
    pod = of_pod.newest(observed.pods)
    decided = _job_condition(job, "FailureTarget") or _job_condition(job, "SuccessCriteriaMet")
    if decided or (pod is not None and of_pod.phase(pod) == "Succeeded"):
        return _await_verdict(run, draft)
    if pod is None:
        since = max(parse_time(draft["activeSince"]), parse_time(job["metadata"]["creationTimestamp"]))
        return _waits(run, job, draft, of_pod.Waiting("NotStarted", "The Job is made and has no pod yet"), since, now)
    if of_pod.phase(pod) == "Failed":
        return _between_attempts(run, job, draft, pod, observed, now)
    if stage := of_pod.current_stage(pod):
        message = f"Stage {stage} runs in pod {pod['metadata']['name']}"
        return Plan(status=active(run, draft, of_pod.STAGE_REASONS[stage], message, now))
    since = max(parse_time(draft["activeSince"]), parse_time(pod["metadata"]["creationTimestamp"]))
    return _waits(run, job, draft, of_pod.waiting(pod), since, now, of_pod.scheduled_at(pod))


def _await_verdict(run: TrainingRun, draft: Draft) -> Plan:
    """The Job's own word follows at once: write nothing in between, but record a Job that is not yet."""
    if run.status.get("jobUID"):
        return Plan()
    names = ("jobUID", "image", "bucket", "rawHash", "version", "startTime", "activeSince")
    return Plan(status={**run.status, **{name: draft[name] for name in names}})


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
        return _give_up(run, job, draft, reason, why.message, now)
    status = active(run, draft, "Pending", why.message, now)
    return Plan(status=status, requeue_after=(limit - now).total_seconds())


def _between_attempts(
    run: TrainingRun,
    job: Mapping[str, Any],
    draft: Draft,
    pod: Mapping[str, Any],
    observed: Observed,
    now: datetime,
) -> Plan:
    """A pod failed and the Job has not yet said what follows; where it can only end, wait for its word."""
    failed = sum(of_pod.phase(p) == "Failed" and not disrupted(p) for p in observed.pods)
    failed = max(failed, job.get("status", {}).get("failed", 0))
    if not disrupted(pod) and (failed > run.spec.retries or exit_code(pod) in USER_MISTAKES):
        return _await_verdict(run, draft)
    failure = pod_capsule(run, pod, draft["attempts"], now)
    what = f"{failure['reason']}: {failure['message']}"
    message = f"Attempt {draft['attempts']} ended with {what}; trying again"
    return Plan(status=active(run, {**draft, "failure": failure}, "Retrying", message, now))


def _suspended(run: TrainingRun, job: Mapping[str, Any], draft: Draft, now: datetime) -> Plan:
    stop = () if job["spec"].get("suspend") else (_suspend(job, True),)
    message = "spec.suspend is true: no pod runs, what was finished is kept; set it to false to go on"
    return Plan(status=active(run, stopped(draft, now), "Suspended", message, now), apply=stop)


def _suspend(job: Mapping[str, Any], value: bool) -> dict[str, Any]:
    return job_controls(job, suspend=value)


def _succeeded(
    run: TrainingRun,
    draft: Draft,
    observed: Observed,
    settings: Settings,
    now: datetime,
) -> Plan:
    found: Mapping[str, Any] = evaluated(observed.pods)
    if not found:
        lookup = observed.lookup
        if lookup is None or (lookup.failure and lookup.failure.may_pass):
            why = lookup.failure.message if lookup and lookup.failure else "it is being read"
            message = f"The Job is complete, its result is not read yet: {why}"
            return Plan(active(run, draft, "Evaluating", message, now), requeue_after=RETRY_RESULT)
        if lookup.failure:
            return _no_result(run, draft, lookup.failure.message, now)
        found = result.flat(lookup.model or {})
    try:
        model = result.model(found, draft["bucket"], draft["version"], run.spec.parameters["architecture"])
    except result.ResultError as error:
        return _no_result(run, draft, str(error), now)
    draft = {**draft, "stage": "Evaluate", "model": model, "lineage": result.lineage(found, run, settings)}
    accuracy = f", test accuracy {model['testAccuracy']}" if "testAccuracy" in model else ""
    message = f"Version {draft['version']} is trained{accuracy}: {model['uri']}"
    return Plan(status=ended(run, draft, True, "Completed", message, now))


def _no_result(run: TrainingRun, draft: Draft, message: str, now: datetime) -> Plan:
    """The Job is complete and what it should have left in the bucket can't be used."""
    failure = capsule(run, "ResultInvalid", message, draft["attempts"], now)
    return Plan(ended(run, {**draft, "failure": failure}, False, "ResultInvalid", sentence(failure), now))


def _failed(run: TrainingRun, job: Mapping[str, Any], draft: Draft, observed: Observed, now: datetime) -> Plan:
    condition = _job_condition(job, "Failed") or {}
    pod = of_pod.newest(pod for pod in observed.pods if of_pod.phase(pod) == "Failed")
    if pod is not None:
        failure = pod_capsule(run, pod, draft["attempts"], now)
    else:
        reason = condition.get("reason", "JobFailed")
        failure = draft.get("failure") or capsule(
            run, reason, condition.get("message", "The Job failed"), draft["attempts"], now
        )
    status = ended(run, {**draft, "failure": failure}, False, failure["reason"], sentence(failure), now)
    return Plan(status=status)


def _give_up(run: TrainingRun, job: Mapping[str, Any], draft: Draft, reason: str, message: str, now: datetime) -> Plan:
    """End a run whose Job would go on; the Job is deleted after the end is recorded."""
    failure = capsule(run, reason, message, draft["attempts"], now, stage=draft.get("stage", ""))
    status = ended(run, {**draft, "failure": failure}, False, reason, sentence(failure), now)
    reference = ChildRef("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"])
    return Plan(status=status, delete=(reference,))


def _job_condition(job: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    for condition in job.get("status", {}).get("conditions", ()):
        if condition.get("type") == type_ and condition.get("status") == "True":
            return dict(condition)
    return None
