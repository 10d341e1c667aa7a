"""Waits until a ModelServer has Settled on a run, and compares the digest:
`wait_server.py NAME --run RUN --sha256 HEX --seconds N`; may be run again at any time. Outputs `url`.

A model that the gate refused, or that was sent back, is the end, in the operator's own words; what served before stays.
"""

import argparse

from actions import DeliveryError, output, run
from kube import Resource, condition
from serve import KIND
from train import NAMESPACE
from waiting import looks


def decided(found: Resource, of_run: str) -> bool:
    """Whether the operator has decided on this very run, for the spec as it is now."""
    status = found.get("status", {})
    settled = condition(found, "Settled")
    seen = settled.get("observedGeneration") == found["metadata"]["generation"] == status.get("observedGeneration")
    return bool(seen and settled.get("status") == "True" and status.get("decidedFor") == of_run)


def verdict(found: Resource, sha256: str) -> None:
    """Raise DeliveryError when it is not this digest that serves, with why."""
    status, name = found["status"], found["metadata"]["name"]
    serving = status.get("model", {}).get("sha256", "nothing")
    if serving == sha256:
        return
    for entry in status.get("quarantine", ()):
        if entry["sha256"] == sha256:
            report = status.get("gate", {}).get("report")
            shown = f"; pictures on which the two differ: {report}" if report else ""
            raise DeliveryError(
                "Model refused",
                f"ModelServer {name} does not serve model {sha256[:12]} ({entry['reason']}): {entry['message']}{shown}"
                f"; model {serving[:12]} serves on. docs/gate.md says how it decides",
            )
    raise DeliveryError(
        "Other model",
        f"ModelServer {name} serves {serving[:12]}, and {sha256[:12]} was trained: kubectl describe msrv {name}",
    )


def words(found: Resource) -> str:
    """Where the decision stands."""
    said = condition(found, "Settled")
    return f"{said.get('reason', 'no word of the operator yet')}: {said.get('message', '')}"


def wait(name: str, of_run: str, sha256: str, seconds: float, pause: float) -> None:
    """Look until it is decided, or `seconds` are over."""
    said = ""
    for found, _ in looks(KIND, name, NAMESPACE, seconds, pause, words):
        if decided(found, of_run):
            verdict(found, sha256)
            tell(found)
            return
        said = words(found)
    raise DeliveryError(
        "Not settled",
        f"ModelServer {NAMESPACE}/{name} has not settled in {seconds:.0f} s ({said}): run this job again, it waits on",
    )


def tell(found: Resource) -> None:
    """The address as an output; raises DeliveryError when there is none."""
    url = found["status"].get("url")
    if not url:
        raise DeliveryError(
            "No address",
            f"ModelServer {found['metadata']['name']} has no address: kubectl describe service; is a quota of "
            "addresses used up?",
        )
    output("url", url.rstrip("/") + "/")


def main() -> None:
    """Read the words of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--run", required=True)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pause", type=float, default=5)
    given = parser.parse_args()
    wait(given.name, given.run, given.sha256, given.seconds, given.pause)


if __name__ == "__main__":
    run(main)
