"""Carries out a plan: one status patch, then create, apply, delete, events.

It decides nothing; where the world has moved on it refreshes the store and says so.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_operator import metrics
from mlops_operator.api.times import timestamp
from mlops_operator.builders.common import MANAGER
from mlops_operator.cluster import ConflictError, NotFoundError
from mlops_operator.handlers.context import Context
from mlops_operator.reconcile.plan import Event, Plan

log = logging.getLogger(__name__)
Object = Mapping[str, Any]


class StaleError(RuntimeError):
    """An object is not as the store holds it: what was decided on that is left undone, and tried again later."""


async def patch_status(context: Context, resource: Object, plan: Plan) -> bool:
    """Write the plan's status if it differs. False: the resource has changed or is gone; look again."""
    if plan.status is None:
        return True
    try:
        written = await context.cluster.patch_status(resource, plan.status)
    except (ConflictError, NotFoundError):
        await refresh(context, resource)
        return False
    if written is not None:
        metrics.WRITES.labels("status", resource["kind"]).inc()
        context.wrote(written)
    return True


async def refresh(context: Context, resource: Object) -> Object | None:
    """Read the resource anew into the store; None when it is gone or another one has its name."""
    metadata = resource["metadata"]
    where = (metadata["namespace"], metadata["name"])
    live = await context.cluster.read(resource["apiVersion"], resource["kind"], *where)
    if live is None:
        context.store.remove(resource["kind"], *where, metadata["uid"])
        return None
    context.store.put(live)
    return live if live["metadata"]["uid"] == metadata["uid"] else None


async def apply_children(context: Context, plan: Plan) -> None:
    """Apply each child that is not already as wanted; a Job whose name must rest gets another pass after that.

    Raises StaleError where a Deployment would be written that is not as the store says.
    """
    for body in plan.apply:
        metadata = body["metadata"]
        where = (body["kind"], metadata["namespace"], metadata["name"])
        present = context.store.get(*where)
        if present is not None and context.applied.get(where) == body and includes(present, body):
            continue
        rest = context.name_rests(*where[1:]) if body["kind"] == "Job" and present is None else 0.0
        if rest:
            for key in context.concerned(None, None, body):
                context.queue.add_after(key, rest)
            continue
        if body["kind"] == "Deployment" and where not in context.applied:
            await _look_first(context, body, present)
        applied = await context.cluster.apply(body)
        metrics.WRITES.labels("apply", body["kind"]).inc()
        context.seen("MODIFIED", applied)
        context.applied[where] = body


async def _look_first(context: Context, body: Object, present: Object | None) -> None:
    """Before the first write of this process to a Deployment: the lists at its start may have been old ones, and what
    they ask for would take back a model that was rolled out since. Its owner's status says which one was."""
    metadata = body["metadata"]
    stale = False
    for key in context.concerned(None, None, body):
        known = context.store.get(*key)
        if known is not None:
            live = await refresh(context, known)
            stale |= live is None or live["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]
    where, named = (body["apiVersion"], body["kind"], metadata["namespace"]), f"metadata.name={metadata['name']}"
    live = next(iter(await context.cluster.list(*where, field_selector=named)), None)
    if _spec_of(live) != _spec_of(present):
        stale = True
        if live is None:
            context.store.remove(body["kind"], metadata["namespace"], metadata["name"])
        else:
            context.store.put(live)
    if stale:
        raise StaleError(f"Deployment {metadata['name']} or its owner has changed since it was listed")


def _spec_of(item: Object | None) -> tuple[str, int] | None:
    """Which state of the spec it is; the status changes all the time."""
    return (item["metadata"]["uid"], item["metadata"]["generation"]) if item else None


async def delete_children(context: Context, namespace: str, plan: Plan) -> None:
    """Delete the named children; one that is gone is no error."""
    for child in plan.delete:
        await context.cluster.delete(child.api_version, child.kind, namespace, child.name, child.uid)
        metrics.WRITES.labels("delete", child.kind).inc()
        context.applied.pop((child.kind, namespace, child.name), None)


def post_events(context: Context, resource: Object, plan: Plan, now: datetime) -> None:
    """Leave the plan's events to `background.post_events`: no pass waits for them."""
    for event in plan.events:
        log.info("%s %s: %s: %s", resource["kind"], resource["metadata"]["name"], event.reason, event.message)
        try:
            context.events.put_nowait(event_body(resource, event, now))
        except asyncio.QueueFull:
            log.warning("event %s is not posted: too many wait already", event.reason)


def event_body(resource: Object, event: Event, now: datetime) -> dict[str, Any]:
    """A core/v1 Event. Its name follows from what it says of which generation, so that a repeated pass does not
    repeat it, and a second suspension is not taken for the first."""
    metadata, moment = resource["metadata"], timestamp(now)
    content = "\n".join((metadata["uid"], str(metadata.get("generation")), event.reason, event.message))
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:230]}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1024],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def includes(present: Any, wanted: Any) -> bool:
    """Whether `present` holds all that `wanted` says; what the API server filled in besides is no matter."""
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(
            name in present and includes(present[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(present, list | tuple)
            and len(present) == len(wanted)
            and all(includes(*pair) for pair in zip(present, wanted, strict=True))
        )
    return bool(present == wanted)
