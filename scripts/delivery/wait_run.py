"""Waits for a TrainingRun to be Finished: `wait_run.py NAME --seconds N [--last]`; may be run again at any time.

It outputs `finished`, and when the run succeeded `version`, `sha256` and `reason`. A run that failed is the end, in the
operator's own words; one that is still at work after N seconds, or a login that expired, is only so for the `--last`.
"""

import argparse

from actions import DeliveryError, output, run
from kube import Resource, condition
from train import KIND, NAMESPACE
from waiting import looks

SILENCE = 120.0  # seconds that the operator may take to look at a new run


def words(found: Resource) -> str:
    """Where a run stands, in a line without what changes each second."""
    outcome, status = condition(found, "Succeeded"), found.get("status", {})
    seen = status.get("progress", {})
    epoch = (
        f", epoch {seen['epoch']} of {seen.get('epochs', '?')}"
        if status.get("stage") == "Train" and "epoch" in seen
        else ""
    )
    return f"{outcome.get('reason', 'no word of the operator yet')}{epoch}"


def failure(found: Resource) -> str:
    """One line on a failed run: stage, reason, what happened, what to do."""
    outcome, failed = condition(found, "Succeeded"), found.get("status", {}).get("failure", {})
    stage = f" in {failed['stage']}" if failed.get("stage") else ""
    message, hint = failed.get("message") or outcome.get("message", ""), failed.get("hint", "")
    tail = f" {hint}" if hint and hint not in message else ""
    return (
        f"TrainingRun {found['metadata']['name']} failed{stage} ({outcome.get('reason')}): {message.rstrip('.')}.{tail}"
    )


def wait(name: str, seconds: float, last: bool, pause: float) -> None:
    """Look until it is Finished, or `seconds` are over."""
    try:
        for found, waited in looks(KIND, name, NAMESPACE, seconds, pause, words):
            if condition(found, "Finished").get("status") == "True":
                tell(found)
                return
            heard(found, waited, min(SILENCE, seconds))
    except DeliveryError as trouble:
        if last or trouble.title != "Login expired":
            raise
    if last:
        raise DeliveryError(
            "Not finished",
            f"TrainingRun {NAMESPACE}/{name} is still at work and goes on: run this job again, it waits on",
        )
    output("finished", "false")


def heard(found: Resource, waited: float, patience: float) -> None:
    """Raise DeliveryError when no operator has said a word on the run."""
    if "status" not in found and waited > patience:
        raise DeliveryError(
            "Operator silent",
            f"no operator has looked at TrainingRun {found['metadata']['name']} in {waited:.0f} s: does one "
            "run, and do its NAMESPACES hold this one? kubectl -n mlops-system logs deploy/mlops-operator",
        )


def tell(found: Resource) -> None:
    """The outputs of a run that ended; raises DeliveryError when it failed."""
    if condition(found, "Succeeded").get("status") != "True":
        raise DeliveryError("Training failed", failure(found))
    model = found["status"]["model"]
    output("finished", "true")
    output("reason", str(condition(found, "Succeeded")["reason"]))
    output("version", model["version"])
    output("sha256", model["sha256"])


def main() -> None:
    """Read the words of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--last", action="store_true")
    parser.add_argument("--pause", type=float, default=10)
    given = parser.parse_args()
    wait(given.name, given.seconds, given.last, given.pause)


if __name__ == "__main__":
    run(main)
