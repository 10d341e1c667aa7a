"""The floor: a raw client that makes the one Job and writes the one status of each new run, and nothing else.

No store, no retry, no check that the run is still there: what is written is the least that anyone has to write.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.operator.lag import sampled
from bench.operator.rest import AT_ONCE, JOBS, MERGE, TRAINING_RUNS, Api, connect
from mlops_operator.api.settings import settings_from_env
from mlops_operator.api.training_run import parse
from mlops_operator.builders.job import Key, training_job
from mlops_operator.status.run import active


async def follow(api: Api, namespace: str, new: asyncio.Queue[dict[str, Any]]) -> None:
    runs, version = await api.list(TRAINING_RUNS.format(namespace))
    for run in runs:
        new.put_nowait(run)
    async for line in api.watch(TRAINING_RUNS.format(namespace), version):
        event = json.loads(line)
        if event["type"] == "ADDED":
            new.put_nowait(event["object"])


async def serve(api: Api, namespace: str, new: asyncio.Queue[dict[str, Any]]) -> None:
    settings = settings_from_env(os.environ)
    while True:
        run = parse(await new.get())
        key = Key(settings.trainer_image, settings.bucket, "0" * 64, "0" * 12)
        job = await api.call("POST", JOBS.format(namespace), training_job(run, key, settings))
        draft = {"jobUID": job["metadata"]["uid"], "version": key.version, "image": key.image, "bucket": key.bucket}
        status = active(run, draft, "Pending", "The Job is made and has no pod yet", datetime.now(UTC))
        path = f"{TRAINING_RUNS.format(namespace)}/{run.name}/status"
        await api.call("PATCH", path, {"status": status}, MERGE)


async def main() -> None:
    new: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with sampled(), connect(Path(os.environ["KUBECONFIG"])) as api:
        namespace = os.environ["NAMESPACES"]
        tasks = [asyncio.create_task(follow(api, namespace, new))]
        tasks += [asyncio.create_task(serve(api, namespace, new)) for _ in range(AT_ONCE)]
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
