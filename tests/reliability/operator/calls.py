"""What the operator asks of the API server, by the names that a Role uses, and what can go wrong with one call.

Only names and values: the proxy carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WRITES = ("create", "patch", "update", "delete")
ANSWERS = ("409", "422", "429", "500", "503", "504")
CUTS = ("hang", "reset", "lost")
KILLS = ("kill-before", "kill-unanswered", "kill-answered")
WATCHES = ("close", "truncate", "stall", "gone")


@dataclass(frozen=True, order=True)
class Call:
    """One request: the verb that RBAC checks, and the resource with its subresource, as `trainingruns/status`."""

    verb: str
    resource: str

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb in WRITES

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def call_of(method: str, path: str, query: Mapping[str, str]) -> Call:
    """The call that a request is; discovery and other paths without a resource are `get PATH`."""
    parts = path.strip("/").split("/")
    at = 2 if parts[0] == "api" else 3
    rest = parts[at + 2 :] if parts[at : at + 1] == ["namespaces"] else parts[at:]
    if not rest or parts[0] not in ("api", "apis"):
        return Call("get", path)
    resource = "/".join([rest[0], *rest[2:]])
    if method == "GET" and len(rest) == 1:
        return Call("watch" if query.get("watch") == "true" else "list", resource)
    verbs = {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
    return Call(verbs[method], resource)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once per `times`.

    `kind` is a status of `ANSWERS`; `hang` (no answer, nothing carried out), `reset` (the connection torn before
    it is carried out), `lost` (after it); one of `KILLS` (before the API server sees the request, after it without
    an answer, after the answer); for a watch `close`, `truncate` (in the middle of an event), `stall`, `gone` (410);
    `hide` (events that never come); `replay` (the operator starts again and is shown the state from before the
    write).

    Kills and replay go by `at`, the number of the write from 0; all others by `call`, of which the first `skip`
    pass. For a watch `skip` counts events, and `times` events are hidden.
    """

    kind: str
    call: Call | None = None
    at: int = 0
    skip: int = 0
    times: int = 1

    def __str__(self) -> str:
        if self.call is None:
            return f"{self.kind} at write {self.at}"
        times = f" {self.times} times" if self.times > 1 else ""
        after = f" after {self.skip}" if self.skip else ""
        return f"{self.kind} on {self.call}{after}{times}"
