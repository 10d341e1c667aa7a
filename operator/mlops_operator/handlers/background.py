"""The background work: complete lists at start and again every minute, and the events that passes leave.

It only feeds the store and the queue; watches may fail or lie, the lists put things right.
"""

import asyncio
import logging
import time

import aiohttp

from mlops_operator import metrics
from mlops_operator.api.model_server import KIND as MODEL_SERVER
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.cluster import ApiException, ConflictError
from mlops_operator.handlers.context import HTTP_ROUTE, KINDS, POD_MONITORING, Context, Watched
from mlops_operator.handlers.queue import Key
from mlops_operator.status.run import finished

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
RESYNC_LAST = 120.0
RETRY_SECONDS = 5.0
LIST_MAX_AGE = 180.0
UNREACHABLE = (ApiException, aiohttp.ClientError, OSError, TimeoutError)


async def relist(context: Context) -> None:
    """List every kind in every namespace; ask for a pass over each resource that has not ended, and over those
    of which the list tells something new."""
    context.pod_monitoring = await context.cluster.serves(POD_MONITORING.api_version, POD_MONITORING.kind)
    context.http_route = await context.cluster.serves(HTTP_ROUTE.api_version, HTTP_ROUTE.kind)
    there = ((POD_MONITORING, context.pod_monitoring), (HTTP_ROUTE, context.http_route))
    kinds = [*KINDS, *(kind for kind, served in there if served)]
    for namespace in context.settings.namespaces:
        for kind in kinds:
            await _list(context, kind, namespace)
        for name in (TRAINING_RUN, MODEL_SERVER):
            for resource in context.store.all(name, namespace):
                if not finished(resource.get("status", {})):
                    context.queue.add(Key(name, namespace, resource["metadata"]["name"]))
    context.forget_absent()
    context.listed_at = time.monotonic()


async def _list(context: Context, kind: Watched, namespace: str) -> None:
    """Take over a complete list: forget what was known before it was asked for and it does not hold."""
    before = {item["metadata"]["name"]: item for item in context.store.all(kind.kind, namespace)}
    async for page in context.cluster.pages(kind.api_version, kind.kind, namespace, kind.selector):
        for item in page:
            before.pop(item["metadata"]["name"], None)
            context.seen(None, item)
    for gone in before.values():
        context.seen("DELETED", gone)


async def first_list(context: Context) -> None:
    """Wait until everything can be listed once; says what is missing (CRDs, rights, API server)."""
    while True:
        try:
            await relist(context)
        except UNREACHABLE as error:
            log.warning("can't list yet, again in %.0f s: %s", RETRY_SECONDS, _line(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def resync(context: Context) -> None:
    """List everything again and again, until cancelled: every RESYNC_SECONDS, but at most a twentieth of the time."""
    pause = RESYNC_SECONDS
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        try:
            await relist(context)
            pause = min(max(RESYNC_SECONDS, 20 * (time.monotonic() - began)), RESYNC_LAST)
        except UNREACHABLE as error:
            pause = RETRY_SECONDS
            log.warning("resync failed, again in %.0f s: %s", pause, _line(error))


def list_age(context: Context) -> float:
    """Seconds since everything was listed."""
    return time.monotonic() - context.listed_at


def healthy(context: Context) -> bool:
    """Whether the operator still sees the cluster."""
    return list_age(context) < LIST_MAX_AGE


async def post_events(context: Context) -> None:
    """Post the events that passes left, until cancelled; one at a time, so that passes are not held up by them."""
    while True:
        event = await context.events.get()
        try:
            await context.cluster.create(event)
            metrics.WRITES.labels("create", "Event").inc()
        except ConflictError:
            continue
        except UNREACHABLE as error:
            log.warning("event %s is not posted: %s", event["reason"], _line(error))


def _line(error: Exception) -> str:
    if isinstance(error, ApiException):
        summary = getattr(error, "summary", None)
        return f"{error.status} {summary() if callable(summary) else error.reason}".splitlines()[0][:300]
    return f"{type(error).__name__}: {error}"
