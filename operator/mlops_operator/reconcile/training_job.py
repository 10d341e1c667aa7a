"""What a TrainingRun wants while its Job exists: start and stop it, keep the limits, record the end.

Pure, and never makes a Job; what its pod is at is `training_pod`'s.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_operator.api.settings import Settings
from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.api.training_run import Observed, TrainingRun
from mlops_operator.builders.job import BUCKET, IMAGE, RAW_HASH, RUN_VERSION, job_controls, queue_of
from mlops_operator.reconcile import training_pod
from mlops_operator.reconcile.plan import Plan
from mlops_operator.reconcile.training_pod import Draft, give_up, job_condition
from mlops_operator.status import attempts, result
from mlops_operator.status import pod as of_pod
from mlops_operator.status.failure import capsule, pod_capsule, sentence
from mlops_operator.status.reasons import HINTS
from mlops_operator.status.run import active, active_seconds, ended, started, stopped

RETRY_RESULT = 10.0


def reconcile(run: TrainingRun, job: Mapping[str, Any], observed: Observed, settings: Settings, now: datetime) -> Plan:
    """The plan for a run that has not ended and whose Job is `job`."""
    draft = _draft(run, job, observed, now)
    if succeeded(job):
        return _succeeded(run, draft, observed, settings, now)
    if job_condition(job, "Failed"):
        return _failed(run, job, draft, observed, now)
    if _held(run, job):
        return _stopped(run, job, draft, now)
    if limit := _limit(run, draft, now):
        return give_up(run, job, draft, *limit, now)
    plan = training_pod.reconcile(run, job, draft, observed, now)
    resume = (_suspend(job, False),) if job["spec"].get("suspend") else ()
    left = run.spec.active_deadline_seconds - active_seconds(draft, now)
    after = min(left, plan.requeue_after) if plan.requeue_after is not None else left
    return Plan(**{**vars(plan), "apply": resume, "requeue_after": None if plan.delete else max(1.0, after)})


def over(job: Mapping[str, Any]) -> bool:
    """Whether the Job has ended and its pods have, too."""
    return succeeded(job) or job_condition(job, "Failed") is not None


def succeeded(job: Mapping[str, Any]) -> bool:
    """Whether the Job is complete."""
    return job_condition(job, "Complete") is not None


def evaluated(pods: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any]:
    """What the last stage summed up, if its pod is still there and says it in a usable form."""
    last = of_pod.newest(pod for pod in pods if of_pod.phase(pod) == "Succeeded")
    summary = of_pod.said(last, "evaluate").get("summary") if last else None
    usable = isinstance(summary, Mapping) and isinstance(summary.get("sha256"), str)
    return summary if usable and isinstance(summary, Mapping) else {}


def _held(run: TrainingRun, job: Mapping[str, Any]) -> str:
    """Why no pod shall run: "Queued" by Kueue, which alone may suspend the Job of a queue, or "Suspended", or ""."""
    if queue_of(job):
        return "Queued" if job["spec"].get("suspend") else ""
    return "Suspended" if run.spec.suspend else ""


def _draft(run: TrainingRun, job: Mapping[str, Any], observed: Observed, now: datetime) -> dict[str, Any]:
    """The status as far as it follows from Job and pods alone."""
    metadata, made = job["metadata"], parse_time(job["metadata"]["creationTimestamp"])
    annotations = metadata.get("annotations", {})
    # Pods of a Job that is about to be resumed were stopped by its suspension, too.
    held = _held(run, job) or ("Suspended" if job["spec"].get("suspend") else "")
    draft = {
        **run.status,
        "jobUID": metadata["uid"],
        "image": annotations.get(IMAGE, run.status.get("image", "")),
        "bucket": annotations.get(BUCKET, run.status.get("bucket", "")),
        "rawHash": annotations.get(RAW_HASH, run.status.get("rawHash", "")),
        "version": annotations.get(RUN_VERSION, run.status.get("version", "")),
        "startTime": run.status.get("startTime") or timestamp(made),
        **attempts.recorded(run, observed.pods, held, now),
    }
    if not _held(run, job):
        draft = started(draft, now if run.status.get("jobUID") else made)
    return _with_stage(draft, observed, now)


def _with_stage(draft: dict[str, Any], observed: Observed, now: datetime) -> dict[str, Any]:
    """The draft with stage and progress of the newest pod; without a pod at work nobody knows how long it takes."""
    pod = of_pod.newest(observed.pods)
    stage = of_pod.current_stage(pod) if pod else None
    if "progress" in draft and (pod is None or of_pod.phase(pod) not in ("Pending", "Running")):
        draft["progress"] = result.at_end(draft["progress"])
    if pod is None or stage is None:
        return draft
    progress = result.progress(draft.get("progress", {}), observed.progress, stage, now)
    summary = of_pod.said(pod, "train").get("summary")
    if isinstance(summary, Mapping):
        progress = result.trained(progress, summary, stage)
    return {**draft, "stage": stage, **({"progress": progress} if progress else {})}


def _stopped(run: TrainingRun, job: Mapping[str, Any], draft: Draft, now: datetime) -> Plan:
    if queue := queue_of(job):
        message = f"Kueue holds the Job in queue {queue} until there is room; no deadline counts meanwhile"
        return Plan(status=active(run, stopped(draft, now), "Queued", message, now))
    stop = () if job["spec"].get("suspend") else (_suspend(job, True),)
    message = "spec.suspend is true: no pod runs, what was finished is kept; set it to false to go on"
    return Plan(status=active(run, stopped(draft, now), "Suspended", message, now), apply=stop)


def _suspend(job: Mapping[str, Any], value: bool) -> dict[str, Any]:
    return job_controls(job, suspend=value)


def _limit(run: TrainingRun, draft: Draft, now: datetime) -> tuple[str, str] | None:
    """Reason and message of a limit over all attempts that is reached."""
    if active_seconds(draft, now) >= run.spec.active_deadline_seconds:
        message = f"The run took more than activeDeadlineSeconds ({run.spec.active_deadline_seconds} s)"
        return "DeadlineExceeded", message
    if draft.get("preemptions", 0) > run.spec.max_preemptions:
        last = draft["failure"]
        times = "once" if draft["preemptions"] == 1 else f"{draft['preemptions']} times"
        message = f"The pod was taken away {times}, spec.maxPreemptions is {run.spec.max_preemptions}; "
        return "TooManyPreemptions", f"{message}the last time: {last['reason']}: {last['message']}"
    return None


def _succeeded(run: TrainingRun, draft: Draft, observed: Observed, settings: Settings, now: datetime) -> Plan:
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
        outcome = result.outcome(found, draft["bucket"], draft["version"], run, settings)
    except result.ResultError as error:
        return _no_result(run, draft, str(error), now)
    draft = {**draft, "stage": "Evaluate", **outcome}
    message = f"Version {draft['version']} is trained{result.in_words(outcome)}"
    return Plan(status=ended(run, draft, True, "Completed", message, now))


def _no_result(run: TrainingRun, draft: Draft, message: str, now: datetime) -> Plan:
    """The Job is complete and what it should have left in the bucket can't be used."""
    failure = capsule(run, "ResultInvalid", message, attempts.number(draft), now)
    return Plan(ended(run, {**draft, "failure": failure}, False, "ResultInvalid", sentence(failure), now))


def _failed(run: TrainingRun, job: Mapping[str, Any], draft: Draft, observed: Observed, now: datetime) -> Plan:
    pod = of_pod.newest(pod for pod in observed.pods if of_pod.phase(pod) == "Failed")
    failure = pod_capsule(run, pod, attempts.number(draft), now) if pod else draft.get("failure")
    if failure is None:
        condition = job_condition(job, "Failed") or {}
        reason = condition.get("reason") if condition.get("reason") in HINTS else "JobFailed"
        failure = capsule(run, str(reason), condition.get("message", "The Job failed"), attempts.number(draft), now)
    status = ended(run, {**draft, "failure": failure}, False, failure["reason"], sentence(failure), now)
    return Plan(status=status)
