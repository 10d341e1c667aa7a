"""The plan: all that one pass of reconcile wants done for one resource.

It only describes; `handlers` carries it out through `cluster`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ChildRef:
    """Names one child in the resource's namespace, e.g. `ChildRef("batch/v1", "Job", "demo")`.

    With `uid`, only that very object is meant, not another one of the same name.
    """

    api_version: str
    kind: str
    name: str
    uid: str = ""


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event to post on the resource: `type` is `Normal` or `Warning`."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Record:
    """A decision to write down at a gs:// address, and the digest that serves after it."""

    address: str
    entry: Mapping[str, Any]
    champion: str


@dataclass(frozen=True)
class Plan:
    """What to do, in this order: status (so that what is recorded precedes what is made), create, apply,
    delete, events, records.

    `status` is the whole wanted status, or None to leave it as it is; it is patched only when it differs
    from the present one. `create` is made only where its name is free, and then looked at again at once;
    `apply` is server-side apply. `requeue_after` (seconds) asks for another pass.
    """

    status: Mapping[str, Any] | None = None
    create: Mapping[str, Any] | None = None
    apply: tuple[Mapping[str, Any], ...] = ()
    delete: tuple[ChildRef, ...] = ()
    events: tuple[Event, ...] = ()
    records: tuple[Record, ...] = ()
    requeue_after: float | None = None
