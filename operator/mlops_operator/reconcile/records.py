"""What a ModelServer remembers in its status: decisions by number, and digests that may not come in.

Plain status dicts in and out; whether to decide so is not known here.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mlops_operator.api.model_server import Model, ModelServer
from mlops_operator.api.times import parse_time, timestamp

QUARANTINE_LIMIT = 20
NOTE_AGAIN = timedelta(seconds=60)
"""How old a note of the bucket's absence gets before it is written anew."""
Entry = Mapping[str, Any]


def record(model: Model | None) -> dict[str, str]:
    """The model as a status shows it, without what is not known."""
    if model is None:
        return {}
    fields = {
        "uri": model.uri,
        "sha256": model.sha256,
        "version": model.version,
        "trainingRun": model.training_run,
        "testAccuracy": model.test_accuracy,
        "gitCommit": model.git_commit,
    }
    return {name: value for name, value in fields.items() if value}


def unavailable(kept: Entry, now: datetime) -> dict[str, Any]:
    """What is remembered of a model on its way, with the note that a pod could not have it just now."""
    noted = kept.get("unavailableAt")
    fresh = noted is not None and now - parse_time(noted) < NOTE_AGAIN
    return dict(kept) if fresh else {**kept, "unavailableAt": timestamp(now)}


def had_seconds(kept: Entry, begun: str, now: datetime) -> float:
    """How long the model's pods have had to get ready: since `begun`, or since they last could not have it."""
    return (now - parse_time(max(kept[begun], kept.get("unavailableAt", "")))).total_seconds()


def model_of_record(found: Mapping[str, Any] | None) -> Model | None:
    """The model that a status describes; None when it names no file."""
    if not found or not found.get("sha256") or not found.get("uri"):
        return None
    return Model(
        uri=found["uri"],
        sha256=found["sha256"],
        version=found.get("version", ""),
        training_run=found.get("trainingRun", ""),
        test_accuracy=found.get("testAccuracy", ""),
        git_commit=found.get("gitCommit", ""),
    )


def with_entry(
    history: Iterable[Entry],
    limit: int,
    model: Model,
    now: datetime,
    outcome: str,
    reason: str,
    message: str,
    **more: str,
) -> list[dict[str, Any]]:
    """The history with one decision more, newest first, its number one higher than the highest."""
    kept = [dict(entry) for entry in history]
    number = max((entry["number"] for entry in kept), default=0) + 1
    said = {"outcome": outcome, "reason": reason, "message": message[:1024], **{k: v for k, v in more.items() if v}}
    return [{"number": number, "time": timestamp(now), **record(model), **said}, *kept][:limit]


def decided(history: Iterable[Entry]) -> Model | None:
    """The model that serves by the last decision; None before the first one, or when it is no longer told."""
    entries = list(history)
    for entry in entries:
        if entry["outcome"] == "Served":
            return model_of_record(entry)
        if entry["outcome"] == "RolledBack":
            before = (one for one in entries if one["outcome"] == "Served" and one["sha256"] == entry.get("from"))
            return model_of_record(next(before, None))
    return None


def find_in_history(history: Iterable[Entry], wanted: str) -> Model | None:
    """The model that served once, by the beginning of its digest (6 digits or more) or its entry's number."""
    for entry in history:
        if entry["outcome"] == "Refused":
            continue
        if wanted == str(entry["number"]) or (len(wanted) >= 6 and entry["sha256"].startswith(wanted)):
            return model_of_record(entry)
    return None


def quarantined(server: ModelServer, sha256: str) -> Entry | None:
    """The quarantine's entry of that digest, if it still holds for the present spec."""
    entries = server.status.get("quarantine") or ()
    return next((entry for entry in entries if entry["sha256"] == sha256 and _holds(server, entry)), None)


def _holds(server: ModelServer, entry: Entry) -> bool:
    """Until modelFrom, gate, smoke or watch changes, or the annotation newly names the digest."""
    released = _names(server.retry, entry["sha256"]) and not entry.get("retried", False)
    return entry.get("terms") == server.admission.terms and not released


def _names(annotation: str, sha256: str) -> bool:
    return len(annotation) >= 6 and sha256.startswith(annotation)


def with_quarantined(
    server: ModelServer, entries: Iterable[Entry], model: Model, reason: str, message: str, now: datetime
) -> list[dict[str, Any]]:
    """The quarantine with this digest in it, newest first."""
    others = [dict(entry) for entry in entries if entry["sha256"] != model.sha256]
    entry = {
        "sha256": model.sha256,
        "reason": reason,
        "message": message[:1024],
        "since": timestamp(now),
        "terms": server.admission.terms,
        "retried": _names(server.retry, model.sha256),
        **({"trainingRun": model.training_run} if model.training_run else {}),
    }
    return [entry, *others][:QUARANTINE_LIMIT]


def settled_quarantine(server: ModelServer) -> list[dict[str, Any]]:
    """The entries that still hold; one whose annotation was taken away may be named by it again."""
    return [
        {**entry, "retried": bool(entry.get("retried")) and _names(server.retry, entry["sha256"])}
        for entry in server.status.get("quarantine") or ()
        if _holds(server, entry)
    ]
