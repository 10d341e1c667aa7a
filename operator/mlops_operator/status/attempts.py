"""What each attempt of a run cost and saved: status.attempts, status.retries and status.preemptions.

An attempt is a pod that began a stage or ended; how it ended is settled once. Pure, and decides nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.api.training_run import TrainingRun
from mlops_operator.status import pod as of_pod
from mlops_operator.status.failure import pod_capsule
from mlops_operator.status.reasons import TAKEN_AWAY

Entry = Mapping[str, Any]
KEPT = 10
MOST_SECONDS = 10**7
HELD = frozenset({"Suspended", "Queued"})
UNSEEN = "Unseen"


def recorded(run: TrainingRun, pods: Iterable[Mapping[str, Any]], held: str, now: datetime) -> dict[str, Any]:
    """The fields of the status that follow from the run's pods: attempts, retries, preemptions, failure.

    `held`: "Suspended" or "Queued" while the Job is suspended, which is why its pods end then; else "".
    """
    found = {name: run.status[name] for name in ("retries", "preemptions", "failure") if name in run.status}
    entries: list[Entry] = list(run.status.get("attempts", ()))
    for pod in _news(entries, pods):
        if entries and entries[-1].get("pod") == pod["metadata"]["name"]:
            number = entries.pop()["number"]
        else:
            found = _next_attempt(found, entries)
            number = entries[-1]["number"] + 1 if entries else 1
        entry = _entry(pod, number, entries)
        if of_pod.phase(pod) in ("Succeeded", "Failed"):
            entry, found = _ended(run, pod, entry, held, found, now)
        entries.append(entry)
    names = {pod["metadata"]["name"] for pod in pods}
    entries = [entry if _settled(entry) or entry["pod"] in names else _unseen(entry, held, now) for entry in entries]
    return {**found, **({"attempts": entries[-KEPT:]} if entries else {})}


def closed(attempts: Iterable[Entry], reason: str, now: datetime) -> list[Entry]:
    """The attempts of a run that ends for `reason` at `now`: one that was under way ends with it."""
    return [attempt if _settled(attempt) else _with_end(attempt, reason, now) for attempt in attempts]


def number(status: Mapping[str, Any]) -> int:
    """The number of the last attempt, 0 before the first."""
    entries = status.get("attempts", ())
    return int(entries[-1]["number"]) if entries else 0


def is_over(status: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether the pod's end belongs to the past: it was held, so that no retry follows from it."""
    name = pod["metadata"]["name"]
    return any(entry.get("pod") == name and entry.get("reason") in HELD for entry in status.get("attempts", ()))


def is_settled(status: Mapping[str, Any], name: str) -> bool:
    """Whether it is recorded how the attempt in the pod `name` ended."""
    return any(entry.get("pod") == name and _settled(entry) for entry in status.get("attempts", ()))


def _settled(entry: Entry) -> bool:
    return "endTime" in entry


def _news(entries: list[Entry], pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods that have something to add, in the order they were made."""
    begun = [pod for pod in pods if of_pod.current_stage(pod) or of_pod.phase(pod) in ("Succeeded", "Failed")]
    settled = {entry.get("pod") for entry in entries if _settled(entry)}
    first = entries[0].get("startTime", "") if len(entries) == KEPT else ""
    new = [pod for pod in begun if pod["metadata"]["name"] not in settled and _made(pod) >= first]
    return sorted(new, key=lambda pod: (_made(pod), pod["metadata"]["name"]))


def _made(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _next_attempt(found: dict[str, Any], entries: list[Entry]) -> dict[str, Any]:
    if not entries:
        return {"retries": 0, "preemptions": 0, **found}
    last = entries[-1].get("reason")
    failed = last not in {*TAKEN_AWAY, *HELD, UNSEEN, None}
    return {**found, "retries": found["retries"] + 1} if failed else found


def _entry(pod: Mapping[str, Any], number: int, before: list[Entry]) -> dict[str, Any]:
    """The entry of an attempt that may still run."""
    ended = {name: state for name, c in of_pod.stages(pod) if (state := c.get("state", {}).get("terminated"))}
    seconds = {name: spent for name, state in ended.items() if (spent := _spent(state)) is not None}
    pulled = [name for name in ended if of_pod.said(pod, name).get("reused") is True]
    saved = sum(_saved(pod, name, spent, pulled, before) for name, spent in seconds.items())
    return {
        "number": number,
        "pod": pod["metadata"]["name"],
        "startTime": pod.get("status", {}).get("startTime") or _made(pod),
        **({"stageSeconds": seconds} if seconds else {}),
        **({"pulled": [of_pod.STAGE_NAMES[name] for name in pulled]} if pulled else {}),
        **({"savedSeconds": saved} if saved else {}),
    }


def _spent(state: Mapping[str, Any]) -> int | None:
    if not state.get("startedAt") or not state.get("finishedAt"):
        return None
    return max(0, int((parse_time(state["finishedAt"]) - parse_time(state["startedAt"])).total_seconds()))


def _saved(pod: Mapping[str, Any], stage: str, spent: int, pulled: list[str], before: list[Entry]) -> int:
    """Seconds that `stage` was spared: what computing it took once, less what it took now.

    The training counts its own seconds over all attempts; of other stages an earlier attempt of the run tells.
    """
    if stage == "train":
        summary = of_pod.said(pod, stage).get("summary")
        known = summary.get("seconds") if isinstance(summary, Mapping) else None
    elif stage in pulled:
        computed = [e["stageSeconds"][stage] for e in before if _computed(e, stage)]
        known = max(computed, default=None)
    else:
        known = None
    usable = isinstance(known, int | float) and not isinstance(known, bool) and 0 <= known <= MOST_SECONDS
    return max(0, int(known) - spent) if known is not None and usable else 0


def _computed(entry: Entry, stage: str) -> bool:
    return stage in entry.get("stageSeconds", {}) and of_pod.STAGE_NAMES[stage] not in entry.get("pulled", ())


def _ended(
    run: TrainingRun, pod: Mapping[str, Any], entry: dict[str, Any], held: str, found: dict[str, Any], now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entry with its end, and the counts and the failure that follow from it."""
    last = max((state["finishedAt"] for state in _ends(pod)), default=None)
    when = parse_time(last) if last else now
    if of_pod.phase(pod) == "Succeeded":
        return _with_end(entry, "Completed", when), found
    if held and "deletionTimestamp" in pod["metadata"]:
        return _with_end(entry, held, when), found
    failure = pod_capsule(run, pod, entry["number"], now)
    taken = failure["reason"] in TAKEN_AWAY
    found = {**found, "failure": failure, "preemptions": found["preemptions"] + taken}
    return _with_end(entry, failure["reason"], when), found


def _ends(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """How the stages ended that ran; the kubelet gives one that never ran an end without a time."""
    states = [container.get("state", {}).get("terminated") for _, container in of_pod.stages(pod)]
    return [state for state in states if state and state.get("finishedAt")]


def _with_end(entry: Entry, reason: str, when: datetime) -> dict[str, Any]:
    seconds = max(0, int((when - parse_time(entry["startTime"])).total_seconds()))
    return {**entry, "endTime": timestamp(when), "reason": reason, "seconds": seconds}


def _unseen(entry: Entry, held: str, now: datetime) -> dict[str, Any]:
    """The end of a pod that went away while nobody looked."""
    return _with_end(entry, held or UNSEEN, now)
