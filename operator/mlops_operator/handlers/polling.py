"""Asks the running trainers how far they are, each every 3 s, evenly spread over that time.

What they say is left in the context for the pass that it asks for; nothing is written here.
"""

import asyncio
from typing import NamedTuple

import aiohttp

from mlops_operator import progress
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.builders.job import NAME as TRAINER
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key
from mlops_operator.handlers.store import INSTANCE, NAME
from mlops_operator.status.pod import current_stage, phase
from mlops_operator.status.run import finished

ROUND_SECONDS = 3.0


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
