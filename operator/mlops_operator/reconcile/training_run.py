"""What one TrainingRun wants next: a Job, a status, an end.

Pure: everything it knows is in its arguments, and it makes at most one Job per run, ever.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from catsdogs.key import RAW_PREFIX, uri
from mlops_operator.api.settings import Settings
from mlops_operator.api.training_run import KIND, Lookup, Observed, TrainingRun, parse
from mlops_operator.builders.job import Key, job_controls, queue_of, training_job
from mlops_operator.reconcile import training_job as of_job
from mlops_operator.reconcile.plan import ChildRef, Event, Plan
from mlops_operator.status import result
from mlops_operator.status.failure import capsule, refusal_reason, sentence
from mlops_operator.status.run import active, ended, finished, observe_generation, succeeded_reason

RETRY_BUCKET = 10.0
RETRY_NAME = 2.0
TROUBLES = ("Retrying", "BucketUnavailable", "PermissionDenied")


def needs(resource: Mapping[str, Any], observed: Observed) -> Literal["key", "result"] | None:
    """What to look up in the bucket before reconcile: "key" lists the raw photographs and reads the result
    of the same key; "result" reads only the result at status.version; None: nothing."""
    run = parse(resource)
    if run.deleting or finished(run.status):
        return None
    job = own_job(run, observed.job)
    if job is None and run.status.get("jobUID"):
        return "result"
    if job is None:
        return None if observed.job is not None else "key"
    return "result" if of_job.succeeded(job) and not of_job.evaluated(observed.pods) else None


def reconcile(resource: Mapping[str, Any], observed: Observed, settings: Settings, now: datetime) -> Plan:
    """The plan for `resource`; `observed.lookup` holds what `needs` asked for. `now` is timezone-aware."""
    run = parse(resource)
    if run.deleting:
        return Plan()
    job = own_job(run, observed.job)
    if finished(run.status):
        return _after_end(run, job)
    if job is not None:
        plan = of_job.reconcile(run, job, observed, settings, now)
    elif run.status.get("jobUID"):
        plan = _job_gone(run, observed.lookup, settings, now)
    elif observed.job is not None:
        plan = _name_taken(run, observed.job, now)
    else:
        plan = _before_job(run, observed, settings, now)
    return _with_events(run, plan)


def own_job(run: TrainingRun, job: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """`job` if it is the one Job of this run: owned by it and, once recorded, of the recorded UID."""
    if job is None or _owner(job).get("uid") != run.uid:
        return None
    recorded = run.status.get("jobUID")
    return job if recorded in (None, "", job["metadata"]["uid"]) else None


def _owner(job: Mapping[str, Any]) -> Mapping[str, Any]:
    references = job["metadata"].get("ownerReferences", ())
    return next((reference for reference in references if reference.get("controller")), {})


def _before_job(run: TrainingRun, observed: Observed, settings: Settings, now: datetime) -> Plan:
    image, bucket = pinned(run, settings)
    refusal = _refusal(image, bucket, settings)
    if refusal:
        return _fail(run, run.status, *refusal, now)
    lookup = observed.lookup
    if lookup is None:
        return Plan(requeue_after=RETRY_NAME)
    draft = {**run.status, "image": image, "bucket": bucket}
    if lookup.failure:
        return _bucket_failed(run, draft, lookup, now)
    if not lookup.photos:
        raw = uri(bucket, RAW_PREFIX)
        message = f"{raw} holds no photographs: Cat/*.jpg and Dog/*.jpg are wanted there"
        return _fail(run, draft, "DataError", message, now)
    if lookup.model is not None:
        return _published(run, {**draft, **_keys(lookup)}, lookup, "Reused", settings, now)
    if observed.refused:
        return _refused(run, draft, observed.refused, now)
    key = Key(image=image, bucket=bucket, raw_hash=lookup.raw_hash, version=lookup.version)
    return Plan(create=training_job(run, key, settings))


def pinned(run: TrainingRun, settings: Settings) -> tuple[str, str]:
    """Image and bucket of a run: as recorded, else as its spec says, else as the operator is set."""
    image = run.status.get("image") or run.spec.image or settings.trainer_image
    bucket = run.status.get("bucket") or run.spec.bucket or settings.bucket
    return image, bucket


def may_look(image: str, bucket: str, settings: Settings) -> bool:
    """Whether a run with this image and bucket is worth a look into the bucket."""
    return _refusal(image, bucket, settings) is None


def _refused(run: TrainingRun, draft: Mapping[str, Any], why: str, now: datetime) -> Plan:
    """The API server (quota, admission) did not let the Job be made: try until the pending deadline."""
    message = f"The Job can't be made: {why}"
    if (now - run.created).total_seconds() >= run.spec.pending_deadline_seconds:
        return _fail(run, draft, refusal_reason(why), message, now)
    return Plan(status=active(run, draft, "Pending", message, now), requeue_after=RETRY_BUCKET)


def _refusal(image: str, bucket: str, settings: Settings) -> tuple[str, str] | None:
    if not image:
        return "ImageMissing", "Neither spec.image nor the operator's TRAINER_IMAGE names an image"
    if not settings.allows_image(image):
        allowed = ", ".join(settings.allowed_registries) or "none"
        return "ImageNotAllowed", f"Image {image} is from no allowed registry; allowed are: {allowed}"
    if not settings.is_pinned(image):
        return "ImageNotPinned", f"Image {image} is not named by digest"
    if not bucket:
        return "BucketMissing", "Neither spec.bucket nor the operator's BUCKET names a bucket"
    return None


def _keys(lookup: Lookup) -> dict[str, Any]:
    return {"rawHash": lookup.raw_hash, "version": lookup.version}


def _bucket_failed(run: TrainingRun, draft: Mapping[str, Any], lookup: Lookup, now: datetime) -> Plan:
    assert lookup.failure is not None
    reason, message = lookup.failure.reason, lookup.failure.message
    waited = (now - run.created).total_seconds()
    if reason == "BucketUnavailable" or (reason == "PermissionDenied" and waited < run.spec.pending_deadline_seconds):
        status = active(run, draft, reason, f"{message}; trying again every {RETRY_BUCKET:.0f} s", now)
        return Plan(status=status, requeue_after=RETRY_BUCKET)
    return _fail(run, draft, reason, message, now)


def _published(
    run: TrainingRun, draft: Mapping[str, Any], lookup: Lookup, reason: str, settings: Settings, now: datetime
) -> Plan:
    """The end of a run whose result is in the bucket."""
    found = result.flat(lookup.model or {})
    try:
        outcome = result.outcome(found, draft["bucket"], draft["version"], run, settings)
    except result.ResultError as error:
        return _fail(run, draft, "ResultInvalid", str(error), now)
    by = outcome["lineage"].get("trainedBy")
    message = f"Version {draft['version']} is trained{result.in_words(outcome)}"
    if reason == "Reused":
        whose = f" by TrainingRun {by}" if by else ""
        message = f"Version {draft['version']} was trained already{whose}; change data, parameters or image to train"
    return Plan(status=ended(run, {**draft, **outcome}, True, reason, message, now))


def _job_gone(run: TrainingRun, lookup: Lookup | None, settings: Settings, now: datetime) -> Plan:
    if lookup is None:
        return Plan(requeue_after=RETRY_NAME)
    if lookup.failure and lookup.failure.reason == "ResultInvalid":
        return _fail(run, run.status, "ResultInvalid", lookup.failure.message, now)
    if lookup.failure and lookup.failure.may_pass:
        message = f"The Job is gone and its result can't be read: {lookup.failure.message}"
        status = active(run, run.status, lookup.failure.reason, message, now)
        return Plan(status=status, requeue_after=RETRY_BUCKET)
    if lookup.model is not None:
        return _published(run, run.status, lookup, "Completed", settings, now)
    message = f"Job {run.name} is gone and gs://{run.status['bucket']} holds no result of version "
    message += f"{run.status['version']}"
    return _fail(run, run.status, "JobLost", message, now)


def _name_taken(run: TrainingRun, job: Mapping[str, Any], now: datetime) -> Plan:
    owner = _owner(job)
    earlier = owner.get("kind") == KIND and owner.get("name") == run.name
    if earlier or "deletionTimestamp" in job["metadata"]:
        message = f"Waiting until the Job of an earlier TrainingRun {run.name} is deleted"
        return Plan(status=active(run, run.status, "Pending", message, now), requeue_after=RETRY_NAME)
    whose = f"belongs to {owner['kind']} {owner['name']}" if owner else "has no owner"
    message = f"A Job {run.name} exists already and {whose}"
    return _fail(run, run.status, "JobNameTaken", message, now)


def _fail(run: TrainingRun, draft: Mapping[str, Any], reason: str, message: str, now: datetime) -> Plan:
    failure = capsule(run, reason, message, 0, now)
    return Plan(status=ended(run, {**draft, "failure": failure}, False, reason, sentence(failure), now))


def _after_end(run: TrainingRun, job: Mapping[str, Any] | None) -> Plan:
    """What is left to do: let the API server delete the Job in time, and delete one that still runs."""
    status = observe_generation(run) if run.status.get("observedGeneration") != run.generation else None
    if job is None or "deletionTimestamp" in job["metadata"]:
        return Plan(status=status)
    if not of_job.over(job):
        return Plan(status=status, delete=(job_ref(job),))
    if "ttlSecondsAfterFinished" not in job["spec"]:
        seconds = run.spec.ttl_seconds_after_finished
        # What was applied before is given up by an apply without it; in a queue it is Kueue's.
        suspend = {} if queue_of(job) else {"suspend": job["spec"].get("suspend", False)}
        controls = job_controls(job, **suspend, ttlSecondsAfterFinished=seconds)
        return Plan(status=status, apply=(controls,))
    return Plan(status=status)


def job_ref(job: Mapping[str, Any]) -> ChildRef:
    """This very Job."""
    return ChildRef("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"])


def _with_events(run: TrainingRun, plan: Plan) -> Plan:
    if plan.status is None or succeeded_reason(plan.status) == succeeded_reason(run.status):
        return plan
    condition = next(c for c in plan.status["conditions"] if c["type"] == "Succeeded")
    troubled = condition["status"] == "False" or condition["reason"] in TROUBLES
    event = Event("Warning" if troubled else "Normal", condition["reason"], condition["message"])
    return Plan(
        **{**vars(plan), "events": (*_ended_attempt(run, plan.status), event, *plan.events, *_warnings(plan.status))}
    )


def _ended_attempt(run: TrainingRun, status: Mapping[str, Any]) -> tuple[Event, ...]:
    """An attempt that failed and was replaced before anybody could see that it had."""
    failure = status.get("failure")
    told = finished(status) or succeeded_reason(status) == "Retrying"
    if failure is None or failure == run.status.get("failure") or told:
        return ()
    return (Event("Warning", failure["reason"], f"Attempt {failure['attempt']}: {sentence(failure)}"),)


def _warnings(status: Mapping[str, Any]) -> tuple[Event, ...]:
    """What to know of a result before trusting it."""
    return tuple(Event("Warning", "ResultWarning", text) for text in status.get("warnings", ()))
