"""One pass over a TrainingRun: gather what reconcile asks for, then carry out its plan.

Before a Job is made, missed or deleted, the API server itself is asked: the store may lag behind.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlops_operator import metrics
from mlops_operator.api.times import parse_time
from mlops_operator.api.training_run import KIND, Observed, TrainingRun, parse
from mlops_operator.builders.common import label_value
from mlops_operator.builders.job import NAME as TRAINER
from mlops_operator.cluster import ApiException, ConflictError
from mlops_operator.handlers import execute
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key
from mlops_operator.reconcile.training_job import over
from mlops_operator.reconcile.training_run import may_look, needs, own_job, pinned, reconcile
from mlops_operator.status.attempts import is_settled
from mlops_operator.status.pod import owned_by, phase
from mlops_operator.status.run import finished

ROUNDS = 6
NO_POD_PATIENCE = 3.0


class UnsettledError(RuntimeError):
    """The resource kept changing during one pass; it is tried again after a backoff."""


async def process(context: Context, key: Key) -> float | None:
    """One pass; returns the seconds until the next one is wanted."""
    refused = ""
    for _ in range(ROUNDS):
        resource = context.store.get(KIND, key.namespace, key.name)
        if resource is None:
            return None
        observed = replace(await gather(context, resource), refused=refused)
        now = datetime.now(UTC)
        plan = reconcile(resource, observed, context.settings, now)
        if plan.create is not None:
            if rest := context.name_rests(key.namespace, key.name):
                return rest
            refused = await create_job(context, resource, plan.create)
            continue
        if not await execute.patch_status(context, resource, plan):
            continue
        if plan.status is not None:
            metrics.observe_run(resource.get("status", {}), plan.status)
        await execute.apply_children(context, plan)
        await execute.delete_children(context, key.namespace, plan)
        execute.post_events(context, resource, plan, now)
        return plan.requeue_after
    raise UnsettledError(f"{key} changed {ROUNDS} times during one pass")


async def gather(context: Context, resource: Mapping[str, Any]) -> Observed:
    """What reconcile has to know of the run, asking the API server and the bucket only where it matters."""
    run = parse(resource)
    job = context.store.get("Job", run.namespace, run.name)
    if finished(run.status) or run.deleting:
        context.departed.pop(_key(run), None)
        if not run.deleting and job is not None and not over(job):
            job = await live_job(context, run)  # it would be deleted
        return Observed(job=job)
    # Of a new run no Job is asked for: making one fails where the name is taken, and then it is read.
    if own_job(run, job) is None and (job is not None or run.status.get("jobUID")):
        job = await live_job(context, run)
    pods = await pods_of(context, run, job)
    live = any(phase(pod) in ("Pending", "Running") for pod in pods)
    no_pod = await why_no_pod(context, run, job) if own_job(run, job) and not live else ""
    observed = Observed(job=job, pods=pods, progress=context.progress.get(run.uid), no_pod=no_pod)
    need = needs(resource, observed)
    if need == "key":
        image, bucket = pinned(run, context.settings)
        if not may_look(image, bucket, context.settings):
            return observed
        lookup = await context.bucket.find_key(bucket, run.spec.parameters, image, run.rerun)
        return replace(observed, lookup=lookup)
    if need == "result":
        status = own_status(run, job)
        return replace(observed, lookup=await context.bucket.find_result(*status))
    return observed


async def live_job(context: Context, run: TrainingRun) -> Mapping[str, Any] | None:
    """The Job of the run's name as the API server has it now; the store learns of it."""
    job = await context.cluster.read("batch/v1", "Job", run.namespace, run.name)
    if job is None:
        context.store.remove("Job", run.namespace, run.name)
        context.free_name(run.namespace, run.name)
    else:
        context.store.put(job)
    return job


async def pods_of(context: Context, run: TrainingRun, job: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """The Job's pods. Once the Job is over they are read from the API server: the last word of a stage
    must not be missed because the pods' watch lags behind the Jobs'."""
    if job is None:
        return ()
    instance = label_value(run.name)
    if over(job):
        selector = f"app.kubernetes.io/name={TRAINER},app.kubernetes.io/instance={instance}"
        for pod in await context.cluster.list("v1", "Pod", run.namespace, selector):
            context.store.put(pod)
    departed = context.departed.get(_key(run))
    if departed is not None and is_settled(run.status, departed["metadata"]["name"]):
        del context.departed[_key(run)]
        departed = None
    present = (*context.store.pods(run.namespace, instance), *([departed] if departed else []))
    return tuple(pod for pod in present if owned_by(pod, job["metadata"]["uid"]))


def _key(run: TrainingRun) -> Key:
    return Key(KIND, run.namespace, run.name)


async def why_no_pod(context: Context, run: TrainingRun, job: Mapping[str, Any] | None) -> str:
    """What the Job controller last said of a pod that it can't make now (quota, admission), or ""."""
    if job is None or over(job) or job["spec"].get("suspend") or job.get("status", {}).get("active"):
        return ""
    made = parse_time(job["metadata"]["creationTimestamp"])
    if (datetime.now(UTC) - made).total_seconds() < NO_POD_PATIENCE:
        return ""
    selector = f"involvedObject.uid={job['metadata']['uid']},reason=FailedCreate"
    events = await context.cluster.list("v1", "Event", job["metadata"]["namespace"], field_selector=selector)
    last = max(events, key=_last, default={})
    return str(last.get("message", ""))[:600] if _last(last) >= run.status.get("activeSince", "") else ""


def _last(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or "")


def own_status(run: TrainingRun, job: Mapping[str, Any] | None) -> tuple[str, str]:
    """Bucket and version of a run that has, or had, a Job."""
    from_job = (job or {}).get("metadata", {}).get("annotations", {})
    return (
        run.status.get("bucket") or from_job["mlops.cats-dogs.io/bucket"],
        run.status.get("version") or from_job["mlops.cats-dogs.io/version"],
    )


async def create_job(context: Context, resource: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    """Make the run's Job if the run still is as it was judged; returns why the API server refused, or ""."""
    live = await execute.refresh(context, resource)
    if live is None or live["metadata"]["resourceVersion"] != resource["metadata"]["resourceVersion"]:
        return ""
    try:
        context.store.put(await context.cluster.create(job))
    except ConflictError:
        metadata = job["metadata"]
        if taken := await context.cluster.read("batch/v1", "Job", metadata["namespace"], metadata["name"]):
            context.store.put(taken)
    except ApiException as error:
        if error.status is None or not 400 <= error.status < 500 or error.status in (401, 429):
            raise
        return reason_of(error)
    return ""


def reason_of(error: ApiException) -> str:
    """The API server's own sentence."""
    summary = getattr(error, "summary", None)
    return str(summary() if callable(summary) else error.reason)[:600]
