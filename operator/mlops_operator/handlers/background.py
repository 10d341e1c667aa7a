"""The background work: complete lists at start and every minute, and the trainers' progress every 3 s.

It only feeds the store and the queue; watches may fail or lie, the lists put things right.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from mlops_operator import metrics, progress, serving
from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import KIND as MODEL_SERVER
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.builders.candidate import APP as CANDIDATE
from mlops_operator.builders.common import label_value
from mlops_operator.builders.deployment import APP
from mlops_operator.cluster import ApiException
from mlops_operator.handlers.context import HTTP_ROUTE, KINDS, POD_MONITORING, Context, Watched
from mlops_operator.handlers.queue import Key
from mlops_operator.status.pod import current_stage, newest, phase
from mlops_operator.status.run import finished
from mlops_operator.status.server_pods import is_ready

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
RETRY_SECONDS = 5.0
PROGRESS_SECONDS = 3.0
SERVING_SECONDS = 3.0
LIST_MAX_AGE = 180.0
UNREACHABLE = (ApiException, aiohttp.ClientError, OSError, TimeoutError)


async def relist(context: Context) -> None:
    """List every kind in every namespace into the store, then ask for a pass over each resource."""
    context.pod_monitoring = await context.cluster.serves(POD_MONITORING.api_version, POD_MONITORING.kind)
    context.http_route = await context.cluster.serves(HTTP_ROUTE.api_version, HTTP_ROUTE.kind)
    there = ((POD_MONITORING, context.pod_monitoring), (HTTP_ROUTE, context.http_route))
    kinds = [*KINDS, *(kind for kind, served in there if served)]
    for namespace in context.settings.namespaces:
        for kind in kinds:
            await _list(context, kind, namespace)
        for name in (TRAINING_RUN, MODEL_SERVER):
            for resource in context.store.all(name, namespace):
                context.queue.add(Key(name, namespace, resource["metadata"]["name"]))
    context.forget_absent()
    context.listed_at = time.monotonic()


async def _list(context: Context, kind: Watched, namespace: str) -> None:
    before = [item["metadata"]["name"] for item in context.store.all(kind.kind, namespace)]
    items = await context.cluster.list(kind.api_version, kind.kind, namespace, kind.selector)
    context.store.replace(kind.kind, namespace, items, before)


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
    """List everything again every RESYNC_SECONDS, until cancelled."""
    pause = RESYNC_SECONDS
    while True:
        await asyncio.sleep(pause)
        try:
            await relist(context)
            pause = RESYNC_SECONDS
        except UNREACHABLE as error:
            pause = RETRY_SECONDS
            log.warning("resync failed, again in %.0f s: %s", pause, _line(error))
        metrics.LIST_AGE.set(list_age(context))


def list_age(context: Context) -> float:
    """Seconds since everything was listed."""
    return time.monotonic() - context.listed_at


def healthy(context: Context) -> bool:
    """Whether the operator still sees the cluster."""
    return list_age(context) < LIST_MAX_AGE


async def poll_progress(context: Context) -> None:
    """Ask each running trainer how far it is, until cancelled."""
    async with progress.session() as session:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            await asyncio.gather(*(_poll(context, session, *run) for run in running(context)))


def running(context: Context) -> list[tuple[Key, str, str, str]]:
    """Key, UID, stage and pod address of each run whose pod is running a stage."""
    found = []
    for namespace in context.settings.namespaces:
        for run in context.store.all(TRAINING_RUN, namespace):
            if finished(run.get("status", {})):
                context.progress.pop(run["metadata"]["uid"], None)
                continue
            pod = newest(context.store.pods(namespace, label_value(run["metadata"]["name"])))
            if pod is None or phase(pod) not in ("Pending", "Running"):
                continue
            stage, address = current_stage(pod), pod.get("status", {}).get("podIP")
            if stage and address:
                key = Key(TRAINING_RUN, namespace, run["metadata"]["name"])
                found.append((key, run["metadata"]["uid"], stage, address))
    return found


async def _poll(context: Context, session: aiohttp.ClientSession, key: Key, uid: str, stage: str, ip: str) -> None:
    said = await progress.ask(session, ip, stage)
    if said is not None:
        context.progress[uid] = said
        context.queue.add(key)


def _line(error: Exception) -> str:
    if isinstance(error, ApiException):
        summary = getattr(error, "summary", None)
        return f"{error.status} {summary() if callable(summary) else error.reason}".splitlines()[0][:300]
    return f"{type(error).__name__}: {error}"


async def watch_servers(context: Context) -> None:
    """Ask the pods of servers where a model is on its way in what they answer and why they don't, until cancelled."""
    async with serving.session() as session:
        while True:
            await asyncio.sleep(SERVING_SECONDS)
            await look_at_servers(context, session)


async def look_at_servers(context: Context, session: aiohttp.ClientSession) -> None:
    """One round over all pods; what is known of pods that are gone is forgotten."""
    asked = [found for namespace in context.settings.namespaces for found in _servers_pods(context, namespace)]
    answers = await asyncio.gather(*(_look(session, pod) for _, pod in asked))
    traffic, complaints = {}, {}
    for (key, pod), (counted, complaint) in zip(asked, answers, strict=True):
        uid = pod["metadata"]["uid"]
        if counted is not None:
            traffic[uid] = counted
        if complaint:
            complaints[uid] = complaint
        if complaint != context.complaints.get(uid, ""):
            context.queue.add(key)
    context.traffic.clear()
    context.traffic.update(traffic)
    context.complaints.clear()
    context.complaints.update(complaints)


def _servers_pods(context: Context, namespace: str) -> list[tuple[Key, Mapping[str, Any]]]:
    """The pods with an address of all servers and candidates, and whose they are."""
    found: list[tuple[Key, Mapping[str, Any]]] = []
    for server in context.store.all(MODEL_SERVER, namespace):
        name = server["metadata"]["name"]
        found += (
            (Key(MODEL_SERVER, namespace, name), pod)
            for pod in context.store.pods(namespace, label_value(name))
            if pod["metadata"]["labels"]["app.kubernetes.io/name"] in (APP, CANDIDATE) and pod["status"].get("podIP")
        )
    return found


async def _look(session: aiohttp.ClientSession, pod: Mapping[str, Any]) -> tuple[Traffic | None, str]:
    address = pod["status"]["podIP"]
    if is_ready(pod):
        return await serving.traffic(session, address), ""
    return None, await serving.complaint(session, address)
