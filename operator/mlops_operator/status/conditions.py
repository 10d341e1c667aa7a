"""Conditions of a custom resource: setting one and reading one.

It knows no kind and no reason; callers give both.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from mlops_operator.api.times import parse_time, timestamp

__all__ = ["Status", "get_condition", "parse_time", "set_condition", "timestamp"]

Status = Literal["True", "False", "Unknown"]
MESSAGE_LIMIT = 1024


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
