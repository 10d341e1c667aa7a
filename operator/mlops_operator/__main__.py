"""`python -m mlops_operator`: run the operator until it is told to stop or a watch is lost.

Only wires the parts together; when one part ends all end, and the Deployment starts anew.
"""

import asyncio
import contextlib
import gc
import logging
import os
import sys
from functools import partial
from typing import Any, cast

import kopf

from mlops_operator import logs, metrics
from mlops_operator.api.model_server import KIND as MODEL_SERVER
from mlops_operator.api.settings import Settings, SettingsError, settings_from_env
from mlops_operator.bucket import Bucket
from mlops_operator.cluster import connect
from mlops_operator.handlers import background, health, model_server, polling, training_run, watch
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key, WorkQueue

log = logging.getLogger("mlops_operator")


async def operate(settings: Settings, health_port: int, metrics_port: int) -> None:
    """Run until Kopf stops (a signal, a lost watch) or a part fails; raises what the part raised."""

    async def process(key: Key) -> float | None:
        if key.kind == MODEL_SERVER:
            return await model_server.process(context, key)
        return await training_run.process(context, key)

    context = Context(settings, await connect(), Bucket(), WorkQueue(process))
    metrics.LIST_AGE.set_function(partial(background.list_age, context))
    metrics.serve(metrics_port, context.training_runs, context.all_model_servers)
    probe = await health.serve(context, health_port)
    try:
        await background.first_list(context)
        # What is there now stays: to look through it for garbage again and again would stop the loop each time.
        gc.collect()
        gc.freeze()
        log.info("serving namespaces %s", ", ".join(settings.namespaces))
        await until_first_ends(context)
    finally:
        await probe.cleanup()
        await context.cluster.close()
        await context.bucket.close()


async def until_first_ends(context: Context) -> None:
    """Run watches, workers and background tasks; when the first of them ends, stop the others."""
    watches = kopf.operator(
        registry=watch.registry(context),
        settings=watch.settings(),
        namespaces=context.settings.namespaces,
        standalone=True,
        # Kopf would else ask for the user's name, and the image's user has none.
        identity=cast(Any, "mlops-operator"),
    )
    asking = (polling.poll_progress, polling.watch_servers, polling.watch_mlflow)
    others = (background.resync, background.post_events, *asking)
    parts = (watches, context.queue.run(), *(part(context) for part in others))
    tasks = [asyncio.create_task(part) for part in parts]
    done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*running, return_exceptions=True)
    for task in done:
        task.result()


def main() -> int:
    """Read the settings, run, and turn the end into an exit status."""
    logs.configure(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        settings = settings_from_env(os.environ)
        ports = int(os.environ.get("HEALTH_PORT", "8080")), int(os.environ.get("METRICS_PORT", "9090"))
    except ValueError as error:
        log.error("%s", error)  # noqa: TRY400 - a user's mistake needs no traceback
        return 78 if isinstance(error, SettingsError) else 2
    asyncio.run(operate(settings, *ports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
