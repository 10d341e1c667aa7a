"""Conditions of a custom resource: setting one, reading one, and the format of times.

It knows no kind and no reason; callers give both.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]
MESSAGE_LIMIT = 1024


def timestamp(moment: datetime) -> str:
    """`moment` (timezone-aware) as RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text of the API server names; raises ValueError on anything else."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def get_condition(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.get("type") == type_), None)


def set_condition(
    conditions: Iterable[Mapping[str, Any]],
    type: str,  # noqa: A002 - the API's own name
    status: Status,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """`conditions` with this one set, the others and their order kept; a new one comes last.

    `lastTransitionTime` changes only with `status`. The message is cut to 1,024 characters.
    """
    present = [dict(condition) for condition in conditions]
    old = get_condition(present, type)
    unchanged = old is not None and old.get("status") == status and "lastTransitionTime" in old
    wanted = {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if old and unchanged else timestamp(now),
    }
    if old is None:
        return [*present, wanted]
    return [wanted if condition.get("type") == type else condition for condition in present]
