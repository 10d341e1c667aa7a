"""Kopf's part: watches on our kinds and their children, each event handed to the context at once.

Only `on.event` handlers, which add no finalizer and write nothing; errors and retries are the queue's.
"""

from typing import Any

import kopf

from mlops_operator.cluster import in_cluster
from mlops_operator.handlers.context import KINDS, Context, Watched


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


def settings() -> kopf.OperatorSettings:
    """Kopf without what it would do besides watching."""
    found = kopf.OperatorSettings()
    found.scanning.disabled = True
    found.peering.standalone = True
    found.posting.enabled = False
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 10
    found.watching.connect_timeout = 10
    found.watching.server_timeout = 300
    for kind in KINDS:
        if kind.watched and kind.selector:
            found.watching.label_selectors[kind.plural] = kind.selector
    return found
