"""The state of a world in a form that can be compared: without UIDs, times, and names that are made up.

It reads what was seen and changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.reliability.operator.api import Object, Seen

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
POD = re.compile(r"\bpod ([a-z0-9-]+)-[a-z0-9]{5}\b")
# How many attempts were seen depends on when the operator was away; trainings are counted by the kubelet.
VOLATILE = ("activeSeconds", "attempts", "attempt")
KEPT_METADATA = ("name", "labels", "annotations", "ownerReferences", "finalizers")


def jobs_by_run(seen: Seen) -> dict[str, list[Object]]:
    """All Jobs there ever were, by the UID of the run that owns them ("" without one)."""
    found: dict[str, list[Object]] = {}
    for job in seen.jobs.values():
        owners = job["metadata"].get("ownerReferences", [])
        found.setdefault(owners[0]["uid"] if owners else "", []).append(job)
    return found


def state_of(namespace: str, seen: Seen, trainings: Counter[str]) -> dict[str, Any]:
    """Runs with spec and status, Jobs, pods by Job and phase, and what was ever made for each run."""
    clean = _Cleaner({**_names(seen), namespace: "NAMESPACE"})
    pods = Counter(
        f"{pod['metadata']['ownerReferences'][0]['name']} {pod['status']['phase']}"
        for pod in seen.objects["Pod"].values()
    )
    return {
        "runs": {name: clean(_part(run)) for name, run in seen.objects["TrainingRun"].items()},
        "jobs": {name: clean(_job(job)) for name, job in seen.objects["Job"].items()},
        "pods": dict(pods),
        "made": made_of(seen, trainings),
    }


def one_of(namespace: str, seen: Seen, name: str) -> dict[str, Any]:
    """One run and its Job, as an only run of that name would stand: its generation is the first."""
    run, job = seen.objects["TrainingRun"].get(name), seen.objects["Job"].get(name)
    if run is None:
        return {"run": None, "job": None}
    uids = {run["metadata"]["uid"]: "UID", **({job["metadata"]["uid"]: "JOB-UID"} if job else {})}
    version = run.get("status", {}).get("version")
    clean = _Cleaner({**uids, **({version: "VERSION"} if version else {}), namespace: "NAMESPACE"})
    found = {"run": clean(_part(run)), "job": clean(_job(job)) if job else None}
    for holder in (found["run"]["status"], *found["run"]["status"].get("conditions", ())):
        if holder.get("observedGeneration") == run["metadata"]["generation"]:
            holder["observedGeneration"] = 1
    return found


def made_of(seen: Seen, trainings: Counter[str]) -> dict[str, dict[str, int]]:
    """How many Jobs there ever were for each run, and how often it was trained."""
    names, jobs = _names(seen), jobs_by_run(seen)
    uids = [run["metadata"]["uid"] for run in seen.runs]
    return {names[uid]: {"jobs": len(jobs.get(uid, ())), "trainings": trainings[uid]} for uid in uids}


def difference(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two states differ, one line each."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [
            line
            for name in dict.fromkeys((*one, *other))
            for line in difference(one.get(name), other.get(name), f"{where}.{name}")
        ]
    return [] if one == other else [f"{where}: {one!r:.300} is not {other!r:.300}"]


def _names(seen: Seen) -> dict[str, str]:
    """A name for each UID: the n-th run of a name is `name#n`."""
    count: Counter[str] = Counter()
    names = {}
    for run in seen.runs:
        name = run["metadata"]["name"]
        names[run["metadata"]["uid"]] = f"{name}#{count[name]}"
        count[name] += 1
    for uid, job in seen.jobs.items():
        owner = job["metadata"].get("ownerReferences", [{"uid": ""}])[0]["uid"]
        names[uid] = f"job of {names.get(owner, 'nobody')}"
    return names


def _part(item: Object) -> Object:
    metadata = {name: value for name, value in item["metadata"].items() if name in KEPT_METADATA}
    return {"metadata": metadata, "spec": item["spec"], "status": item.get("status", {})}


def _job(job: Object) -> Object:
    status = job.get("status", {})
    ends = [c["type"] for c in status.get("conditions", ()) if c["status"] == "True"]
    return {**_part(job), "status": {"ends": ends, "active": status.get("active", 0)}}


class _Cleaner:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self(inner) for name, inner in value.items() if name not in VOLATILE}
        if isinstance(value, list):
            return [self(inner) for inner in value]
        if not isinstance(value, str):
            return value
        for given, name in self._names.items():
            value = value.replace(given, name)
        return POD.sub(r"pod \1-POD", TIME.sub("TIME", value))
