"""Asks pods every 3 s: the running trainers how far they are, evenly spread over that time, and the servers what
they have answered; and MLflow every 30 s whether it is there.

What they say is left in the context for the pass that it asks for; nothing is written here.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from mlops_operator import metrics, progress, serving, tracking
from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import KIND as MODEL_SERVER
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.builders.candidate import APP as CANDIDATE
from mlops_operator.builders.common import label_value
from mlops_operator.builders.deployment import APP
from mlops_operator.builders.job import NAME as TRAINER
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key
from mlops_operator.handlers.store import INSTANCE, NAME
from mlops_operator.prometheus import Prometheus
from mlops_operator.status.pod import current_stage, phase
from mlops_operator.status.run import finished
from mlops_operator.status.server_pods import is_ready

ROUND_SECONDS = 3.0
MLFLOW_SECONDS = 30.0


class Trainer(NamedTuple):
    """A pod that runs a stage of a run: the run's key and UID, the stage ("Train"), the pod's address."""

    key: Key
    uid: str
    stage: str
    address: str


async def poll_progress(context: Context) -> None:
    """Ask each running trainer once a round, until cancelled."""
    async with progress.session() as session, asyncio.TaskGroup() as group:
        while True:
            trainers = running(context)
            now = {trainer.uid for trainer in trainers}
            context.progress = {uid: said for uid, said in context.progress.items() if uid in now}
            for trainer in trainers:
                group.create_task(_ask(context, session, trainer))
                await asyncio.sleep(ROUND_SECONDS / len(trainers))
            if not trainers:
                await asyncio.sleep(ROUND_SECONDS)


def running(context: Context) -> list[Trainer]:
    """The trainers to ask: of each run that has not ended, the pod that runs a stage."""
    found = []
    for namespace in context.settings.namespaces:
        for pod in context.store.all("Pod", namespace):
            labels = pod["metadata"].get("labels", {})
            if labels.get(NAME) != TRAINER or phase(pod) not in ("Pending", "Running"):
                continue
            run = context.store.get(TRAINING_RUN, namespace, labels.get(INSTANCE, ""))
            stage, address = current_stage(pod), pod.get("status", {}).get("podIP")
            if run is not None and not finished(run.get("status", {})) and stage and address:
                key = Key(TRAINING_RUN, namespace, run["metadata"]["name"])
                found.append(Trainer(key, run["metadata"]["uid"], stage, address))
    return found


async def _ask(context: Context, session: aiohttp.ClientSession, trainer: Trainer) -> None:
    said = await progress.ask(session, trainer.address, trainer.stage)
    if said is not None:
        context.progress[trainer.uid] = said
        context.queue.add(trainer.key)


async def watch_servers(context: Context) -> None:
    """Ask the pods of servers where a model is on its way in what they answer and why they don't, until cancelled."""
    async with serving.session() as session, Prometheus(context.settings.watch_query_url) as prometheus:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await look_at_servers(context, session, await prometheus.traffic(context.settings.namespaces))


async def look_at_servers(
    context: Context, session: aiohttp.ClientSession, known: Mapping[tuple[str, str], Traffic] | None = None
) -> None:
    """One round over all pods; what is known of pods that are gone is forgotten. Of which Prometheus has counts
    (`known`, by namespace and name), need not be asked for them."""
    asked = [found for namespace in context.settings.namespaces for found in _servers_pods(context, namespace)]
    answers = await asyncio.gather(*(_look(session, pod, known or {}) for _, pod in asked))
    traffic: dict[str, Traffic] = {}
    complaints: dict[str, str] = {}
    excuses: dict[str, str] = {}
    for (key, pod), (counted, (status, reason)) in zip(asked, answers, strict=True):
        uid = pod["metadata"]["uid"]
        if counted is not None:
            traffic[uid] = counted
        if status == "failed":
            complaints[uid] = reason
        elif status == "waiting":
            excuses[uid] = reason
        if (complaints.get(uid), excuses.get(uid)) != (context.complaints.get(uid), context.excuses.get(uid)):
            context.queue.add(key)
    context.traffic, context.complaints, context.excuses = traffic, complaints, excuses


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


async def _look(
    session: aiohttp.ClientSession, pod: Mapping[str, Any], known: Mapping[tuple[str, str], Traffic]
) -> tuple[Traffic | None, tuple[str, str]]:
    address, metadata = pod["status"]["podIP"], pod["metadata"]
    if is_ready(pod):
        counted = known.get((metadata["namespace"], metadata["name"]))
        return counted or await serving.traffic(session, address), ("", "")
    return None, await serving.health(session, address)


async def watch_mlflow(context: Context) -> None:
    """Ask MLflow, where there is one, whether it works, until cancelled: its own metrics need a password."""
    up = True
    while True:
        if server := context.settings.mlflow_tracking_uri:
            before, up = up, await tracking.answers(server)
            metrics.DEPENDENCY_UP.labels("mlflow").set(up)
            if up and not before:
                _alias_anew(context)
        await asyncio.sleep(MLFLOW_SECONDS)


def _alias_anew(context: Context) -> None:
    """Forget what was written down of servers whose alias MLflow did not take: the next pass writes it again, which
    changes nothing in the bucket, and sets the alias."""
    for server in context.all_model_servers():
        metadata = server["metadata"]
        known = context.recorded.get(metadata["uid"])
        if known and known.alias not in ("", tracking.SET):
            del context.recorded[metadata["uid"]]
            context.queue.add(Key(MODEL_SERVER, metadata["namespace"], metadata["name"]))
