"""Kopf's part: watches on our kinds and their children, each event handed to the context at once.

Only `on.event` handlers, which add no finalizer and write nothing; errors and retries are the queue's.
"""

from typing import Any

import kopf

from mlops_operator.cluster import LIST_LIMIT, in_cluster
from mlops_operator.handlers.context import KINDS, Context, Watched

# Kopf keeps a task with a queue for each object for so long; thousands of them begin at once at start.
IDLE_SECONDS = 0.1


def registry(context: Context) -> kopf.OperatorRegistry:
    """A Kopf registry with a login and one event handler per watched kind."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found, retries=3)(login)
    for kind in KINDS:
        if kind.watched:
            _watch(found, context, kind)
    return found


def _watch(found: kopf.OperatorRegistry, context: Context, kind: Watched) -> None:
    group, _, version = kind.api_version.rpartition("/")

    @kopf.on.event(group, version, kind.plural, registry=found, id=kind.plural)
    async def seen(event: Any, **_: Any) -> None:
        context.seen(event["type"], {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind})


def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """The same credentials as `cluster.connect` uses."""
    if in_cluster():
        return kopf.login_with_service_account(**arguments)
    return kopf.login_with_kubeconfig(**arguments)


class NoDiffBase(kopf.DiffBaseStorage):
    """Kopf compares each object with the one before, for handlers that are not used here, and copies it
    whole for that: more work than all the rest of an event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of the object matters to Kopf."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


def settings() -> kopf.OperatorSettings:
    """Kopf without what it would do besides watching."""
    found = kopf.OperatorSettings()
    found.scanning.disabled = True
    found.peering.standalone = True
    found.posting.enabled = False
    found.persistence.diffbase_storage = NoDiffBase()
    found.queueing.idle_timeout = IDLE_SECONDS
    found.watching.chunk_size = LIST_LIMIT
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 10
    found.watching.connect_timeout = 10
    found.watching.server_timeout = 300
    for kind in KINDS:
        if kind.watched and kind.selector:
            found.watching.label_selectors[kind.plural] = kind.selector
    return found
