"""kubectl for the steps of the delivery: reads and server-side applies, with failures as one line.

It must not interpret what it reads, nor wait.
"""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from actions import DeliveryError
from explain import explain

Resource = Mapping[str, Any]
CONFLICT = "cannot change after creation"


def kubectl(doing: str, *words: str, stdin: str | None = None) -> str:
    """What kubectl prints. Raises DeliveryError with its own words when it fails."""
    command = ["kubectl", "--request-timeout=30s", *words]
    try:
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        raise DeliveryError(*explain(doing, "Unable to connect to the server: no answer in 120 s")) from None
    except OSError as problem:
        raise DeliveryError("Failed", f"kubectl can't be run ({problem.strerror}): install it on the runner") from None
    if done.returncode:
        raise DeliveryError(*explain(doing, done.stderr or done.stdout))
    return done.stdout


def get(kind: str, name: str, namespace: str) -> Resource | None:
    """One object, or None where there is none."""
    doing = f"Reading {kind} {namespace}/{name}"
    text = kubectl(doing, "get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=json")
    found: Resource | None = json.loads(text) if text.strip() else None
    return found


def apply(doing: str, manifest: str) -> Resource:
    """Server-side apply of one object; returns it as it then is. What a person set by hand is taken back."""
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=cats-dogs-delivery", "--output=json")
    applied: Resource = json.loads(kubectl(doing, *words, "--filename=-", stdin=manifest))
    return applied


def condition(resource: Resource, name: str) -> Mapping[str, Any]:
    """A condition of the resource's present generation, or an empty mapping."""
    generation = resource["metadata"].get("generation", 0)
    for found in resource.get("status", {}).get("conditions", ()):
        if found["type"] == name and found.get("observedGeneration", generation) == generation:
            return dict(found)
    return {}
