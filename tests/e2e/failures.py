"""What makes a real run fail on a real node, and its status in a form that can be compared whole.

The node may be this machine or a container on it; a process of a pod is one of this machine's either way.
"""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.kube import NAMESPACE, Kube, eventually, training_run
from tests.e2e.store import Store

ENDLESS = {"epochs": 500, "maxTrainSeconds": 3000, "imageSize": 64}
# What differs from try to try, and what tells of progress and not of failure.
VOLATILE = (
    "activeSeconds", "activeSince", "attempts", "bucket", "image", "jobUID", "preemptions", "progress", "rawHash",
    "retries", "startTime", "version", "warnings",
)  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def endless(name: str, store: Store, seed: int, **spec: Any) -> dict[str, Any]:
    """A run that trains until something stops it."""
    bucket = spec.pop("bucket", store.bucket)
    return training_run(name, bucket, **{"parameters": {**ENDLESS, "seed": seed}, **spec})


def told(status: dict[str, Any]) -> dict[str, Any]:
    """The whole status, less what differs from try to try; times are TIME."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: clean(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [clean(inner) for inner in value]
        return TIME.sub("TIME", value) if isinstance(value, str) else value

    return {name: clean(value) for name, value in status.items() if name not in VOLATILE}


def ended_as(reason: str, message: str, failure: dict[str, Any], stage: str = "") -> dict[str, Any]:
    """The status, as `told` gives it, of a run that has failed."""

    def condition(type_: str, status: str, reason: str, message: str) -> dict[str, Any]:
        said = {"type": type_, "status": status, "reason": reason, "message": message}
        return {**said, "observedGeneration": 1, "lastTransitionTime": "TIME"}

    return {
        "observedGeneration": 1,
        "completionTime": "TIME",
        "conditions": [
            condition("Succeeded", "False", reason, message),
            condition("Finished", "True", reason, message),
            condition("Suspended", "False", "NotSuspended", "spec.suspend is false"),
        ],
        "failure": {"reason": reason, "time": "TIME", **failure},
        **({"stage": stage} if stage else {}),
    }


def pods(kube: Kube, name: str) -> list[dict[str, Any]]:
    """The pods of a run, the oldest first."""
    found = kube.get("pods", f"-lapp.kubernetes.io/instance={name}")["items"]
    return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])


def trains(kube: Kube, name: str, seconds: int = 180) -> str:
    """Wait until a run trains and has shown an epoch; returns the name of its pod."""

    def shown() -> bool:
        status = kube.get(f"trun/{name}").get("status", {})
        reason = next((c["reason"] for c in status.get("conditions", ()) if c["type"] == "Succeeded"), "")
        return reason == "Training" and status.get("progress", {}).get("epoch", 0) > 0

    eventually(f"{name} trains", shown, seconds)
    return pods(kube, name)[-1]["metadata"]["name"]


def goes_on_in_another_pod(kube: Kube, name: str, before: str) -> str:
    """Wait until the run trains in another pod, which must have begun with the checkpoint; returns its name."""
    eventually(f"another pod of {name}", lambda: pods(kube, name)[-1:] and newest(kube, name) != before, 90)
    eventually("it goes on", lambda: "goes on after epoch" in log(kube, newest(kube, name)), 120)
    return newest(kube, name)


def newest(kube: Kube, name: str) -> str:
    """The name of the latest pod of a run."""
    return str(pods(kube, name)[-1]["metadata"]["name"])


def log(kube: Kube, pod: str, stage: str = "train") -> str:
    """What a stage has written so far."""
    return kube.run("logs", pod, f"--container={stage}", check=False).stdout


def evict(kube: Kube, pod: str) -> str:
    """Ask for an eviction as `kubectl drain` does; returns "" or what the API server has against it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    done = kube.run("create", "--raw", path, "--filename=-", stdin=json.dumps(body), check=False)
    return done.stderr if done.returncode else ""


def kill_processes(run: str) -> int:
    """End all processes of a run's pods with SIGKILL; returns how many there were."""
    killed = 0
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"CATSDOGS_RUN={NAMESPACE}/{run}\0".encode() in environment.read_bytes() + b"\0":
                os.kill(int(environment.parent.name), signal.SIGKILL)
                killed += 1
    return killed
