"""The format of times in the Kubernetes API, both ways.

It reads no clock.
"""

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """`moment` (timezone-aware) as RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text of the API server names; raises ValueError on anything else."""
    return datetime.fromisoformat(text).astimezone(UTC)
