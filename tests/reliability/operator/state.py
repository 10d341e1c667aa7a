"""The state of a world in a form that can be compared: without UIDs, times, and names that are made up.

It reads what was seen and changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mlops_operator.builders.deployment import WANTED_ANNOTATION
from tests.reliability.operator import servers
from tests.reliability.operator.api import Object, Seen

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
POD = re.compile(r"\bpod ([a-z0-9-]+)-[a-z0-9]{5}\b")
# How many attempts were seen depends on when the operator was away; trainings are counted by the kubelet.
VOLATILE = ("activeSeconds", "attempts", "attempt")
KEPT_METADATA = ("name", "labels", "annotations", "ownerReferences", "finalizers")
# What the API server chose, and a hash in which the namespace's name has a part.
CHOSEN = ("clusterIP", "clusterIPs", "nodePort", WANTED_ANNOTATION)
COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def jobs_by_run(seen: Seen) -> dict[str, list[Object]]:
    """All Jobs there ever were, by the UID of the run that owns them ("" without one); not those that judge."""
    found: dict[str, list[Object]] = {}
    for job in seen.jobs.values():
        owners = job["metadata"].get("ownerReferences", [{"kind": "", "uid": ""}])
        if owners[0]["kind"] != "ModelServer":
            found.setdefault(owners[0]["uid"], []).append(job)
    return found


def state_of(namespace: str, seen: Seen, trainings: Counter[str], objects: Mapping[str, bytes]) -> dict[str, Any]:
    """Runs with spec and status, Jobs, pods by what they are of and phase, and what was ever made for each run;
    ModelServers with children and ledger, and whom they ever let serve. `objects` is the bucket."""
    clean = _Cleaner({**_names(seen), namespace: "NAMESPACE"})
    pods = Counter(f"{_whose(pod)} {pod['status']['phase']}" for pod in seen.objects["Pod"].values())
    return {
        "runs": {name: clean(_part(run)) for name, run in seen.objects["TrainingRun"].items()},
        "jobs": {name: clean(_job(job)) for name, job in seen.objects["Job"].items()},
        "pods": dict(pods),
        "made": made_of(seen, trainings),
        "servers": {name: clean(_server(server)) for name, server in seen.objects["ModelServer"].items()},
        "children": {
            f"{kind} {name}": clean(_child(child))
            for kind in servers.CHILDREN
            for name, child in seen.objects[kind].items()
        },
        "ever": servers.ever(seen),
        "ledger": {
            name: {
                "entries": clean(found := servers.ledger(objects, namespace, name)),
                "as in the status": found == {str(entry["number"]): entry for entry in _history(server)},
            }
            for name, server in seen.objects["ModelServer"].items()
        },
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
    return names | {server["metadata"]["uid"]: name for name, server in seen.objects["ModelServer"].items()}


def _whose(pod: Object) -> str:
    owner = pod["metadata"]["ownerReferences"][0]
    return str(owner["name"] if owner["kind"] == "Job" else pod["metadata"]["labels"]["app.kubernetes.io/name"])


def _history(server: Object) -> list[Object]:
    history: list[Object] = server.get("status", {}).get("history", [])
    return history


def _part(item: Object) -> Object:
    metadata = {name: value for name, value in item["metadata"].items() if name in KEPT_METADATA}
    return {"metadata": metadata, "spec": item["spec"], "status": item.get("status", {})}


def _job(job: Object) -> Object:
    status = job.get("status", {})
    ends = [c["type"] for c in status.get("conditions", ()) if c["status"] == "True"]
    return {**_part(job), "status": {"ends": ends, "active": status.get("active", 0)}}


def _server(server: Object) -> Object:
    """With its conditions by type: which was said first depends on when the operator was away."""
    part = _part(server)
    conditions = {condition["type"]: condition for condition in part["status"].get("conditions", ())}
    return {**part, "status": {**part["status"], "conditions": conditions}}


def _child(child: Object) -> Object:
    status = child.get("status", {})
    counts = {count: status[count] for count in COUNTS if count in status}
    return {**_part(child), "status": counts}


class _Cleaner:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self(inner) for name, inner in value.items() if name not in (*VOLATILE, *CHOSEN)}
        if isinstance(value, list):
            return [self(inner) for inner in value]
        if not isinstance(value, str):
            return value
        for given, name in self._names.items():
            value = value.replace(given, name)
        return POD.sub(r"pod \1-POD", TIME.sub("TIME", value))
