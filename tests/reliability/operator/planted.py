"""Faults planted into the operator on purpose, one for each class that the proxy is to find.

Only the tests use them: each is put into an operator process right after it was forked.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
from kopf._cogs.clients import watching

from mlops_operator import cluster
from mlops_operator.handlers import background, execute, queue, training_run
from mlops_operator.reconcile import training_run as of_run
from mlops_operator.reconcile.plan import Plan


def plant(name: str) -> None:
    """Put one of `BUGS` into this process."""
    BUGS[name]()


def _job_under_a_new_name() -> None:
    """Each operator process names Jobs its own way: after a restart nobody knows the old Job."""
    suffix, made = uuid.uuid4().hex[:6], training_run.create_job

    async def create_job(context: Any, resource: Any, job: Any) -> str:
        renamed = {**job, "metadata": {**job["metadata"], "name": f"{job['metadata']['name']}-{suffix}"}}
        return await made(context, resource, renamed)

    training_run.create_job = create_job


def _create_tried_again_under_another_name() -> None:
    """No answer to the creation of a Job is taken for no Job."""

    async def create(self: Any, body: Any) -> Any:
        try:
            return await _create(self, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            name = f"{body['metadata']['name']}-again"
            return await _create(self, {**body, "metadata": {**body["metadata"], "name": name}})

    _create = cluster.Cluster.create
    cluster.Cluster.create = create  # type: ignore[method-assign]


def _gives_up_after_a_failed_pass() -> None:
    """A pass that failed is not tried again."""

    async def one(self: Any, key: Any) -> None:
        try:
            await self._process(key)
        except Exception:
            self._waiting.add(key)  # so that it is never added again

    queue.WorkQueue._one = one  # type: ignore[method-assign]


def _any_refusal_is_the_end() -> None:
    """What the API server does not take once ends the run."""

    def refused(run: Any, draft: Any, why: str, now: Any) -> Plan:
        return of_run._fail(run, draft, "NotStarted", why, now)

    of_run._refused = refused


def _no_timeout() -> None:
    """Calls wait for their answer for ever."""
    start = cluster.Cluster.__init__
    cluster.Cluster.__init__ = lambda self, api, timeout=0.0: start(self, api, 86400.0)  # type: ignore[method-assign]


def _no_resync() -> None:
    """Nothing is listed again after the start."""

    async def resync(context: Any) -> None:
        await asyncio.Event().wait()

    background.resync = resync


def _trusts_its_memory() -> None:
    """A Job is made for what the store holds, without a look at the run itself."""

    async def refresh(context: Any, resource: Any) -> Any:
        return resource

    execute.refresh = refresh


def _trusts_its_first_list() -> None:
    """A Deployment is written as the lists at the start ask for, however old they are."""

    async def look_first(*_: Any) -> None:
        return

    execute._look_first = look_first


def _deletes_once() -> None:
    """A Job that is to be deleted is asked to go once, and its end is nobody's matter."""

    async def delete(self: Any, *where: Any) -> None:
        with suppress(Exception):
            await _delete(self, *where)

    _delete = cluster.Cluster.delete
    cluster.Cluster.delete = delete  # type: ignore[method-assign]
    after = of_run._after_end
    of_run._after_end = lambda run, job: replace(after(run, job), delete=())


def _writes_over_others() -> None:
    """The status is written without looking whether the run is still the one that was judged."""

    async def patch_status(self: Any, resource: Any, status: Any) -> Any:
        metadata = {k: v for k, v in resource["metadata"].items() if k != "resourceVersion"}
        try:
            return await _patch(self, {**resource, "metadata": {**metadata, "resourceVersion": ""}}, status)
        except cluster.ConflictError:
            return None  # and thinks that it is written

    _patch = cluster.Cluster.patch_status
    cluster.Cluster.patch_status = patch_status  # type: ignore[method-assign]


def _a_broken_watch_stays_broken() -> None:
    """A watch that ends is not opened again, and nothing is listed in its place."""

    def for_ever(watch: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(**arguments: Any) -> Any:
            async for event in watch(**arguments):
                yield event
            await asyncio.Event().wait()

        return watched

    watching.watch_objs = for_ever(watching.watch_objs)
    watching.continuous_watch = for_ever(watching.continuous_watch)
    _no_resync()


BUGS: dict[str, Callable[[], None]] = {
    name.strip("_").replace("_", "-"): bug
    for name, bug in list(globals().items())
    if name.startswith("_") and callable(bug) and getattr(bug, "__module__", "") == __name__
}
