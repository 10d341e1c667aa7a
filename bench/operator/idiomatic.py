"""The peer: a TrainingRun operator as Kopf's documentation shows one, with handlers for create and update, a timer,
and the blocking official client. It reads no bucket, so it does less for each run than the operator.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import kopf
from kubernetes import client, config

from bench.operator.lag import sampled
from mlops_operator.api.settings import settings_from_env
from mlops_operator.api.training_run import parse
from mlops_operator.builders.job import Key, training_job
from mlops_operator.status.pod import STAGE_REASONS, current_stage
from mlops_operator.status.run import active, ended, finished

PLURAL = "trainingruns.mlops.cats-dogs.io"
TIMER_SECONDS = 5.0


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.networking.request_timeout = 30
    settings.scanning.disabled = True


@kopf.on.create(PLURAL)
def create(body: kopf.Body, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    settings = settings_from_env(os.environ)
    run = parse(body)
    key = Key(settings.trainer_image, settings.bucket, "0" * 64, "0" * 12)
    job = client.BatchV1Api().create_namespaced_job(namespace, training_job(run, key, settings))
    draft = {"jobUID": job.metadata.uid, "version": key.version, "image": key.image, "bucket": key.bucket}
    patch.status.update(active(run, draft, "Pending", "The Job is made and has no pod yet", datetime.now(UTC)))


@kopf.on.update(PLURAL, field="spec.suspend")
def suspend(name: str, namespace: str, new: bool, **_: Any) -> None:
    client.BatchV1Api().patch_namespaced_job(name, namespace, {"spec": {"suspend": new}})


@kopf.timer(PLURAL, interval=TIMER_SECONDS, initial_delay=TIMER_SECONDS)
def follow(body: kopf.Body, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    run = parse(body)
    if finished(run.status) or not run.status.get("jobUID"):
        return
    job = client.BatchV1Api().read_namespaced_job(name, namespace)
    pods = client.CoreV1Api().list_namespaced_pod(namespace, label_selector=f"app.kubernetes.io/instance={name}")
    if job.status.succeeded:
        patch.status.update(ended(run, run.status, True, "Completed", "The Job is complete", datetime.now(UTC)))
        return
    stage = current_stage(plain(pods.items[-1])) if pods.items else None
    if stage and stage != run.status.get("stage"):
        draft = {**run.status, "stage": stage}
        patch.status.update(active(run, draft, STAGE_REASONS[stage], f"Stage {stage} runs", datetime.now(UTC)))


def plain(pod: client.V1Pod) -> Mapping[str, Any]:
    """A pod as the API server gave it."""
    found: Mapping[str, Any] = client.ApiClient().sanitize_for_serialization(pod)
    return found


async def main() -> None:
    async with sampled():
        await kopf.operator(namespaces=os.environ["NAMESPACES"].split(","), standalone=True)


if __name__ == "__main__":
    asyncio.run(main())
