"""Applies the example TrainingRun and shows it until it has ended: a line for each stage, then its outcome.

It must not decide whether a result is good, nor train: it only reads the run's status.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import yaml

from catsdogs import key
from demo.deploy import ROOT
from demo.errors import DemoError
from demo.kubectl import Kubectl, Resource, condition
from devcluster.progress import Reporter, Step, duration

EXAMPLE = ROOT / "examples" / "01-trainingrun.yaml"
KIND = "trainingruns.mlops.cats-dogs.io"
POLL_SECONDS = 1.5
SILENCE_SECONDS = 120.0
STAGES = ("Ingest", "Preprocess", "EDA", "Train", "Evaluate")


@dataclass(frozen=True)
class Result:
    """A run that succeeded: its name, its status, and whether this call trained nothing."""

    name: str
    status: Mapping[str, Any]
    reused: bool


def reason_to_renew(live: Resource, wanted: Resource, raw_hash: str, image: str, has_model: bool) -> str:
    """Why a run that is there must be made anew to answer for today's data and code, or an empty string.

    A run that has not ended is left alone unless its spec differs: the spec can't be changed in place.
    """
    status = live.get("status", {})
    spec = live["spec"]["parameters"]
    asked = wanted["spec"].get("parameters", {})
    if changed := sorted(name for name, value in asked.items() if spec.get(name) != value):
        return f"its {', '.join(changed)} changed"
    if status.get("rawHash", raw_hash) != raw_hash:
        return "its photographs changed"
    if status.get("image", image) != image:
        return "the trainer's code changed"
    succeeded = condition(live, "Succeeded").get("status")
    if succeeded == "False":
        return "it had failed"
    if succeeded == "True" and not has_model:
        return "its model is no longer in the bucket"
    return ""


def train(kubectl: Kubectl, raw_hash: str, image: str, holds: Callable[[str], bool], report: Reporter) -> Result:
    """Apply the example, follow the run to its end, and return its result. Raises DemoError when it fails."""
    wanted: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    live = kubectl.get(KIND, name, namespace)
    if live is not None:
        uri = live.get("status", {}).get("model", {}).get("uri", "")
        why = reason_to_renew(live, wanted, raw_hash, image, bool(uri) and holds(uri))
        if why:
            report.note(f"TrainingRun {name} is made anew: {why}")
            kubectl.delete(KIND, name, namespace)
            live = None
    ended_before = live is not None and condition(live, "Finished").get("status") == "True"
    kubectl.apply(wanted)
    with report.step(f"TrainingRun {name}") as step:
        run = follow(lambda: kubectl.get(KIND, name, namespace), step, report)
        outcome = condition(run, "Succeeded")
        if outcome.get("status") != "True":
            raise DemoError(failure_line(run))
        reused = ended_before or outcome.get("reason") == "Reused"
        step.done("Reused: its result exists already" if reused else str(outcome.get("reason", "")))
    return Result(name, run["status"], reused)


def follow(look: Callable[[], Resource | None], step: Step, report: Reporter) -> Resource:
    """Poll the run until it is Finished, opening one step for each stage it goes through."""
    began, shown = time.monotonic(), ""
    with ExitStack() as stage_steps:
        stage_step: Step | None = None
        while True:
            run = look()
            if run is None:
                raise DemoError("the TrainingRun was deleted by somebody else while it was shown; run again")
            status = run.get("status", {})
            if "observedGeneration" not in status and time.monotonic() - began > SILENCE_SECONDS:
                raise DemoError(
                    f"the operator has not looked at the TrainingRun for {SILENCE_SECONDS:.0f} s; "
                    "see `kubectl -n mlops-system logs deploy/mlops-operator`"
                )
            ended = condition(run, "Finished").get("status") == "True"
            stage = status.get("stage", "")
            if stage != shown and stage in STAGES and not ended:
                stage_steps.close()
                stage_step, shown = stage_steps.enter_context(report.step(stage)), stage
            found = status.get("progress", {})
            if stage_step is not None and found.get("stage") == shown:
                stage_step.update(*progress(found))
                stage_step.done(stage_result(found))
            if ended:
                return run
            said = condition(run, "Succeeded")
            step.update(None, "" if stage_step else f"{said.get('reason', 'Pending')}: {said.get('message', '')}")
            time.sleep(POLL_SECONDS)


def progress(found: Mapping[str, Any]) -> tuple[float | None, str]:
    """A bar's share (0..1 or None) and words from status.progress; what is unknown is left out."""
    percent = found.get("percent")
    share, words = None if percent is None else float(percent) / 100, []
    if found.get("stage") != "Train":  # the other stages carry on what training said last
        return share, ""
    if found.get("epoch") is not None:
        of = f"/{found['epochs']}" if found.get("epochs") else ""
        words.append(f"epoch {found['epoch']}{of}")
    if found.get("valAccuracy") is not None:
        words.append(f"val accuracy {found['valAccuracy']}")
    if found.get("etaSeconds") is not None:
        words.append(f"{duration(float(found['etaSeconds']))} left")
    return share, " · ".join(words)


def stage_result(found: Mapping[str, Any]) -> str:
    """What stays behind a finished stage: the last epoch and accuracy, without the time left."""
    return progress({name: value for name, value in found.items() if name != "etaSeconds"})[1]


def failure_line(run: Resource) -> str:
    """One line on a failed run: stage, reason, message, and what to do."""
    outcome, failure = condition(run, "Succeeded"), run.get("status", {}).get("failure", {})
    where = f" in {failure['stage']}" if failure.get("stage") else ""
    reason = failure.get("reason") or outcome.get("reason", "Unknown")
    message = failure.get("message") or outcome.get("message", "")
    hint = failure.get("hint", "")
    tail = f"; {hint}" if hint and hint not in message else ""
    return f"TrainingRun {run['metadata']['name']} failed{where} ({reason}): {message}{tail}"


def what_a_change_does() -> str:
    """What a person does to get another model."""
    names = [parameter.name for parameter in key.PARAMETERS]
    return (
        "Reused: the same photographs, parameters and code give the same model, so nothing was trained. "
        f"Change spec.parameters ({', '.join(names[1:6])}) in examples/{EXAMPLE.name} and run again to train anew."
    )
