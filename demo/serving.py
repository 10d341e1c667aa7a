"""Applies the example ModelServer, waits until it serves the run's model, and asks it about unseen photographs.

It must not look into the model: what it knows is what /predict answers.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.archive import natural
from demo.deploy import ROOT, until
from demo.errors import DemoError
from demo.kubectl import Kubectl, Resource, condition
from devcluster.progress import Reporter

EXAMPLE = ROOT / "examples" / "02-modelserver.yaml"
KIND = "modelservers.mlops.cats-dogs.io"
READY_SECONDS = 900.0
ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What /predict said of one photograph whose class is known: "cat" or "dog", confidence 0..1."""

    name: str
    truth: str
    label: str
    confidence: float
    milliseconds: float

    @property
    def right(self) -> bool:
        """Whether the answer is the truth."""
        return self.label == self.truth


def serve(kubectl: Kubectl, sha256: str, report: Reporter) -> str:
    """Apply the example and return the server's address when it serves the model with this SHA-256."""
    wanted: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    kubectl.apply(wanted)
    with report.step(f"ModelServer {name}") as step:
        last = ""

        def ready() -> str | None:
            nonlocal last
            found = kubectl.get(KIND, name, namespace) or {}
            url, last = served_at(found, sha256)
            step.update(None, last)
            return url

        try:
            url = until(ready, READY_SECONDS, "", pause=1.0)
        except DemoError as error:
            if str(error):
                raise
            raise DemoError(
                f"ModelServer {name} does not serve the model after {READY_SECONDS:.0f} s: {last}; "
                f"see `kubectl -n {namespace} describe msrv,pods`"
            ) from None
        step.done(url)
    return url


def served_at(server: Resource, sha256: str) -> tuple[str | None, str]:
    """(address, words): the address only when the server is Ready with the model of this SHA-256.

    Raises DemoError with the gate's words when it does not let that model in.
    """
    ready, status = condition(server, "Ready"), server.get("status", {})
    for entry in status.get("quarantine", ()):
        if entry["sha256"] == sha256:
            what = f"the gate does not let this model in ({entry['reason']}): {entry['message']}"
            raise DemoError(f"{what}; docs/gate.md says how it decides")
    words = f"{ready.get('reason', 'Pending')}: {ready.get('message', '')}"
    if ready.get("status") != "True":
        return None, words
    if status.get("model", {}).get("sha256") != sha256:
        judged = condition(server, "CandidateAccepted")
        return None, judged.get("message") or "still serving the model before"
    url = status.get("url")
    return (url.rstrip("/") + "/", "ready") if url else (None, "waiting for an address")


def unseen(manifest: Mapping[str, Any], each: int) -> list[tuple[str, str]]:
    """(name, class) of `each` photographs per class from the test split, in natural order: none was trained on."""
    chosen = []
    for label in ("cat", "dog"):
        names = [photo["name"] for photo in manifest["photos"] if photo["split"] == "test" and photo["label"] == label]
        chosen += [(name, label) for name in sorted(names, key=natural)[:each]]
    return chosen


def ask(url: str, name: str, truth: str, photograph: Path) -> Answer:
    """POST one photograph to /predict. Raises DemoError with the server's own words when it is refused."""
    kind = "image/png" if photograph.suffix.lower() == ".png" else "image/jpeg"
    request = urllib.request.Request(  # noqa: S310
        f"{url}predict", data=photograph.read_bytes(), headers={"Content-Type": kind}
    )
    # The address is on this machine or in its network: a proxy of the environment can't reach it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.perf_counter()
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        said = error.read(300).decode(errors="replace")
        raise DemoError(f"{url}predict answered {error.code} for {name}: {said}") from error
    except (OSError, ValueError) as error:
        raise DemoError(f"{url}predict did not answer for {name}: {error}") from error
    took = (time.perf_counter() - began) * 1000
    return Answer(name, truth, str(answer["label"]), float(answer["confidence"]), took)
