"""One pass over a ModelServer: gather what was observed, then carry out its plan.

All comes from the store, but for the description of a model that is given by its address.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_operator.api.model_server import KIND, ModelServer, Observed, model_json_uri, parse
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.builders.common import label_value
from mlops_operator.builders.job import NAME as TRAINER
from mlops_operator.handlers import execute
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key
from mlops_operator.handlers.training_run import UnsettledError
from mlops_operator.reconcile.model_server import reconcile

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
        return plan.requeue_after
    raise UnsettledError(f"{key} changed {ROUNDS} times during one pass")


async def gather(context: Context, server: ModelServer) -> Observed:
    """What is known of the ModelServer's children, its pods, and the namespace's TrainingRuns."""
    store, namespace, name = context.store, server.namespace, server.name
    pods = store.pods(namespace, label_value(name))
    return Observed(
        deployment=store.get("Deployment", namespace, name),
        service=store.get("Service", namespace, name),
        pods=tuple(pod for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/name"] != TRAINER),
        training_runs=store.all(TRAINING_RUN, namespace),
        hpa=store.get("HorizontalPodAutoscaler", namespace, name),
        model=await _model(context, server),
        podmonitoring_available=context.pod_monitoring,
    )


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
