"""Which model a ModelServer shall serve: what modelFrom names now, and what its Deployment serves already.

It only reads what was observed and never decides about a roll.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlops_operator.api.model_server import Model, ModelServer, Observed
from mlops_operator.reconcile.records import decided, model_of_record
from mlops_operator.status.conditions import get_condition

WAITING = "WaitingForTrainingRun"
FAILED = "TrainingRunFailed"


@dataclass(frozen=True)
class Candidate:
    """What modelFrom names now: a `model` and its run ("" for a fixed uri), or why none."""

    model: Model | None = None
    run: str = ""
    reason: str = ""
    message: str = ""


def find_candidate(server: ModelServer, observed: Observed) -> Candidate:
    """The candidate of `server.model_from`. A file that is served already keeps the version and run it is served
    with, so that a second run with the same result rolls nothing."""
    serving = model_served(server, observed)
    if server.model_from.uri:
        found = Candidate(model=_fixed(server, observed.model))
    elif server.model_from.training_run:
        found = _named(server, observed, serving)
    else:
        found = _newest(server, observed)
    model = found.model
    if model and serving and (model.sha256, model.uri) == (serving.sha256, serving.uri):
        accuracy = model.test_accuracy or serving.test_accuracy
        return replace(found, model=replace(serving, test_accuracy=accuracy, git_commit=model.git_commit))
    return found


def model_served(server: ModelServer, observed: Observed) -> Model | None:
    """The model in the Deployment's pod template; without a Deployment the one that status names; or None.

    Where somebody else has given the Deployment another model than was decided last, it is the one decided.
    """
    told = model_of_pod_spec(observed.deployment["spec"]["template"]["spec"]) if observed.deployment else None
    ours = None if server.status.get("rollout") else decided(server.status.get("history") or ())
    if told and ours and told.sha256 != ours.sha256:
        told = ours
    return with_accuracy(told or model_of_record(server.status.get("model")), server, observed)


def model_of_pod_spec(spec: Mapping[str, Any]) -> Model | None:
    """The model that a server pod was told to serve, by its environment; None when it was told none."""
    env = {item["name"]: item.get("value", "") for item in spec["containers"][0].get("env", ())}
    if not env.get("MODEL_SHA256"):
        return None
    return Model(
        uri=env.get("MODEL_URI", ""),
        sha256=env["MODEL_SHA256"],
        version=env.get("MODEL_VERSION", ""),
        training_run=env.get("TRAINING_RUN", ""),
    )


def with_accuracy(model: Model | None, server: ModelServer, observed: Observed) -> Model | None:
    """`model` with the accuracy that a TrainingRun, model.json or the status records for its digest."""
    if model is None or model.test_accuracy:
        return model
    records = [(run.get("status") or {}).get("model") for run in observed.training_runs]
    known = [model_of_record(record) for record in (*records, server.status.get("model"))]
    if observed.model:
        known.append(_fixed(server, observed.model))
    found = (k.test_accuracy for k in known if k and k.sha256 == model.sha256 and k.test_accuracy)
    return replace(model, test_accuracy=next(found, ""))


def _named(server: ModelServer, observed: Observed, serving: Model | None) -> Candidate:
    name = server.model_from.training_run
    run = next((run for run in observed.training_runs if run["metadata"]["name"] == name), None)
    if run is not None:
        return _from_run(run)
    if serving and serving.training_run == name:
        return Candidate(model=serving, run=name)
    missing = f"TrainingRun {name} does not exist in namespace {server.namespace}"
    return Candidate(reason=WAITING, message=f"{missing}: apply it, or correct modelFrom")


def _newest(server: ModelServer, observed: Observed) -> Candidate:
    wanted = server.model_from.match_labels.items()
    matching = (run for run in observed.training_runs if wanted <= _labels(run).items())
    by_age = sorted(matching, key=_age, reverse=True)
    candidates = [_from_run(run) for run in by_age]
    for candidate in candidates:
        if candidate.model:
            return candidate
    labels = ",".join(f"{key}={value}" for key, value in sorted(wanted))
    if not candidates:
        return Candidate(
            reason=WAITING,
            message=f"no TrainingRun in namespace {server.namespace} has the labels {labels}: apply one",
        )
    newest = candidates[0]
    none = f"none of {len(candidates)} with the labels {labels} has succeeded"
    return replace(newest, message=f"{none}: {newest.message}")


def _labels(run: Mapping[str, Any]) -> Mapping[str, str]:
    return run["metadata"].get("labels") or {}


def _age(run: Mapping[str, Any]) -> tuple[str, str]:
    metadata = run["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["name"]


def _from_run(run: Mapping[str, Any]) -> Candidate:
    name = run["metadata"]["name"]
    status = run.get("status") or {}
    succeeded = get_condition(status.get("conditions") or (), "Succeeded")
    if succeeded is None:
        return Candidate(reason=WAITING, message=f"TrainingRun {name} has not begun")
    said = _said(succeeded)
    if succeeded["status"] == "False":
        return Candidate(reason=FAILED, message=f"TrainingRun {name} failed: {said}")
    model = model_of_record(status.get("model"))
    if succeeded["status"] != "True" or model is None:
        return Candidate(reason=WAITING, message=f"TrainingRun {name} is at work: {said}")
    commit = (status.get("lineage") or {}).get("gitCommit", "")
    return Candidate(model=replace(model, training_run=name, git_commit=commit), run=name)


def _said(condition: Mapping[str, Any]) -> str:
    return ": ".join(part for part in (condition.get("reason", ""), condition.get("message", "")) if part)


def _fixed(server: ModelServer, record: Mapping[str, Any] | None) -> Model:
    uri, sha256 = server.model_from.uri, server.model_from.sha256
    if record is None or record.get("sha256") != sha256:
        return Model(uri=uri, sha256=sha256, version=sha256[:12])
    accuracy = (record.get("metrics") or {}).get("testAccuracy")
    run = str((record.get("lineage") or {}).get("trainingRun") or "").rpartition("/")[2]
    return Model(
        uri=uri,
        sha256=sha256,
        version=str(record.get("version") or sha256[:12]),
        training_run=run,
        test_accuracy=f"{accuracy:.4f}" if isinstance(accuracy, int | float) else "",
    )
