"""One pass over a ModelServer: gather what was observed, then carry out its plan.

All comes from the store, but for the description of a model that is given by its address.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_operator import tracking
from mlops_operator.api.model_server import KIND, ModelServer, Observed, Recorded, model_json_uri, parse
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.builders.candidate import APP as CANDIDATE
from mlops_operator.builders.candidate import candidate_name
from mlops_operator.builders.common import label_value
from mlops_operator.builders.deployment import APP
from mlops_operator.builders.judge import APP as JUDGE
from mlops_operator.builders.judge import judge_name
from mlops_operator.handlers import execute
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key
from mlops_operator.handlers.training_run import UnsettledError
from mlops_operator.reconcile.ledger import RETRY_SECONDS
from mlops_operator.reconcile.model_server import reconcile
from mlops_operator.reconcile.plan import Record
from mlops_operator.status.pod import owned_by
from mlops_operator.status.verdict import ended

ROUNDS = 4


async def process(context: Context, key: Key) -> float | None:
    """One pass; returns the seconds until the next one is wanted."""
    for _ in range(ROUNDS):
        resource = context.store.get(KIND, key.namespace, key.name)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return None
        server = parse(resource)
        now = datetime.now(UTC)
        plan = reconcile(server, await gather(context, server), context.settings, now)
        if not await execute.patch_status(context, resource, plan):
            continue
        await execute.apply_children(context, plan)
        await execute.delete_children(context, key.namespace, plan)
        execute.post_events(context, resource, plan, now)
        if plan.records and not await write_records(context, key, server.uid, plan.records):
            return min(plan.requeue_after or RETRY_SECONDS, RETRY_SECONDS)
        return plan.requeue_after
    raise UnsettledError(f"{key} changed {ROUNDS} times during one pass")


async def gather(context: Context, server: ModelServer) -> Observed:
    """What is known of the ModelServer's children, its pods, and the namespace's TrainingRuns."""
    store, namespace, name = context.store, server.namespace, server.name
    pods: dict[str, list[Mapping[str, Any]]] = {APP: [], CANDIDATE: [], JUDGE: []}
    for pod in store.pods(namespace, label_value(name)):
        pods.get(pod["metadata"]["labels"]["app.kubernetes.io/name"], []).append(pod)
    found = {
        kind: store.get(kind, namespace, child)
        for kind, child in (("Deployment", candidate_name(name)), ("Job", judge_name(name)))
    }
    own = {kind: child if child and owned_by(child, server.uid) else None for kind, child in found.items()}
    taken = (f"{kind} {child['metadata']['name']}" for kind, child in found.items() if child and not own[kind])
    judge = own["Job"]
    return Observed(
        deployment=store.get("Deployment", namespace, name),
        service=store.get("Service", namespace, name),
        pods=tuple(pods[APP]),
        training_runs=store.all(TRAINING_RUN, namespace),
        hpa=store.get("HorizontalPodAutoscaler", namespace, name),
        model=await _model(context, server),
        podmonitoring_available=context.pod_monitoring,
        httproute_available=context.http_route,
        candidate=own["Deployment"],
        candidate_pods=tuple(pods[CANDIDATE]),
        judge=judge,
        judge_pods=_of(judge, pods[JUDGE]),
        verdict=await _verdict(context, judge, pods[JUDGE]),
        taken=next(taken, ""),
        traffic=context.traffic,
        complaints=context.complaints,
        excuses=context.excuses,
        recorded=context.recorded.get(server.uid, Recorded()),
    )


async def write_records(context: Context, key: Key, uid: str, records: tuple[Record, ...]) -> bool:
    """Write down what is missing, in order, then let MLflow's alias follow; the next pass says how far it got."""
    known = context.recorded.get(uid, Recorded())
    through, problem, alias = known.through, "", known.alias
    for record in records:
        failure = await context.bucket.write_once(record.address, record.entry)
        if failure is not None:
            problem = failure.message
            break
        through = int(record.entry["number"])
    if not problem and (server := context.settings.mlflow_tracking_uri) and records[-1].champion:
        alias = await tracking.set_champion(server, records[-1].champion) or tracking.SET
    found = Recorded(through, problem, alias)
    if found != known:
        context.recorded[uid] = found
        context.queue.add(key)
    return not problem


def _of(job: Mapping[str, Any] | None, pods: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The pods of this very Job, and not of one of the same name before it."""
    return tuple(pod for pod in pods if job and owned_by(pod, job["metadata"]["uid"]))


async def _verdict(
    context: Context, job: Mapping[str, Any] | None, pods: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The report that the judge left in the bucket, asked for when its pod's last words can't be had."""
    condition = ended(job) if job else None
    if job is None or condition is None or condition["type"] != "Complete" or _of(job, pods):
        return None
    container = job["spec"]["template"]["spec"]["containers"][0]
    [prefix] = [item["value"] for item in container["env"] if item["name"] == "GATE_REPORT"]
    return await context.bucket.read_document(f"{prefix}verdict.json")


async def _model(context: Context, server: ModelServer) -> Mapping[str, Any] | None:
    """The parsed model.json beside modelFrom.uri, kept once found: published models never change."""
    address = model_json_uri(server)
    if address is None:
        return None
    if address not in context.models:
        found = await context.bucket.read_document(address)
        if found is None:
            return None
        context.models[address] = found
    return context.models[address]
