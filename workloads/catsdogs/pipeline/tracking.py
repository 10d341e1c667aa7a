"""MLflow: one run per training with parameters, curves, figures, plots and tags, and one version per published model.
It must not stop or slow a training: all is delivered at the end, in bounded time, and a failure is a sentence.

Delivering the same twice makes nothing twice: a run is found again by its tags, a model's version by its run.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXPERIMENT = "cats-dogs"
PAGE = "{uri}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"  # else beside prompts and traces
MODEL = "cats-dogs"
CANDIDATE = "candidate"
MODEL_FOLDER = "model"
DELIVERED = "delivered"  # the tag of a run that has all
# MLflow's own retries would send a slow request twice and so make two runs; we look first, then try again.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
TRIES = 2
PAUSE = 2.0
SECONDS = 120.0  # for all tries together, as a server may send a byte now and then for ever
BATCH = 900  # metrics a request; the server takes 1,000
CURVES = ("trainLoss", "valLoss", "valAccuracy", "learningRate")


@dataclass(frozen=True)
class Record:
    """One training as MLflow shall know it. `identity` are the tags it is found by again.

    `history` is training.json's, `figures` numbers by name, `dataset` name, version and address of the data,
    `artifacts` files by the folder in which they are shown.
    """

    name: str
    identity: Mapping[str, str]
    tags: Mapping[str, str]
    parameters: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    figures: Mapping[str, float]
    dataset: tuple[str, str, str]
    artifacts: Mapping[str, Sequence[Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tracked:
    """Where the run can be looked at, and what of it is not there (`missed`, "" for nothing)."""

    run_id: str = ""
    url: str = ""
    missed: str = ""


def track(uri: str, record: Record) -> Tracked:
    """Deliver one run to the server at `uri`. Never raises, and takes little more than SECONDS."""
    if not uri:
        return Tracked(missed="no MLFLOW_TRACKING_URI")
    found: dict[str, str] = {}
    missed = _bounded(uri, lambda: _deliver(uri, record, found))
    return Tracked(found.get("run_id", ""), found.get("url", ""), missed)


def register(uri: str, run_id: str, files: Sequence[Path], tags: Mapping[str, str], description: str) -> str:
    """Make the published model a version of the registered model MODEL, with the alias CANDIDATE.

    `files` are shown with the run in MODEL_FOLDER; `tags` and `description` are set on run and version. Returns
    what was missed, "" for nothing. Never raises.
    """
    return _bounded(uri, lambda: _register(uri, run_id, files, tags, description))


def _bounded(uri: str, work: Callable[[], None]) -> str:
    """Do `work` with TRIES and SECONDS; returns why it failed, or "". What hangs is left behind in its thread."""
    os.environ.update({name: os.environ.get(name, value) for name, value in LIMITS.items()})
    failures: list[str] = []
    done = threading.Event()

    def attempt() -> None:
        for pause in [PAUSE] * (TRIES - 1) + [0.0]:
            try:
                work()
            except Exception as error:
                failures.append(f"{uri}: {_cause(error)}")
                time.sleep(pause)
            else:
                failures.clear()
                break
        done.set()

    threading.Thread(target=attempt, daemon=True).start()
    if not done.wait(SECONDS):
        return f"{uri}: not through within {SECONDS:.0f} s"
    return failures[-1] if failures else ""


def _cause(error: BaseException) -> str:
    """The innermost error in one line: what MLflow and urllib3 wrap around it is the request, in many words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _deliver(uri: str, record: Record, found: dict[str, str]) -> None:
    """Find or make the run, and complete it; `found` gets run_id and url as soon as they are known.

    The run is ended whatever was missed: the training is over, and a run at work for ever would say otherwise.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = _experiment(client)
    begun = record.history[0]["timestamp"] - int(record.history[0]["seconds"] * 1000)
    run = _run_of(client, experiment, record.identity) or client.create_run(
        experiment, start_time=begun, run_name=record.name, tags={**record.tags, **record.identity}
    )
    run_id = run.info.run_id
    page = PAGE.format(uri=uri.rstrip("/"), experiment=experiment, run=run_id)
    found |= {"run_id": run_id, "url": page}
    if DELIVERED in run.data.tags:
        return  # by a pod that ended before it had published
    try:
        _fill(client, run_id, record)
    finally:
        client.set_terminated(run_id)
    client.set_tag(run_id, DELIVERED, "whole")


def _fill(client: Any, run_id: str, record: Record) -> None:
    from mlflow.entities import Param

    metrics = list(_metrics(record))
    for begin in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[begin : begin + BATCH])
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in record.parameters.items()])
    client.log_inputs(run_id, datasets=[_dataset(*record.dataset)])
    for folder, files in record.artifacts.items():
        for file in files:
            client.log_artifact(run_id, str(file), folder)


def _experiment(client: Any) -> str:
    """The experiment's id; another run may make it at the same time."""
    from mlflow.exceptions import MlflowException

    if (there := client.get_experiment_by_name(EXPERIMENT)) is None:
        try:
            return str(client.create_experiment(EXPERIMENT))
        except MlflowException:
            there = client.get_experiment_by_name(EXPERIMENT)
            if there is None:
                raise
    return str(there.experiment_id)


def _run_of(client: Any, experiment: str, identity: Mapping[str, str]) -> Any | None:
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity.items())
    return next(iter(client.search_runs([experiment], wanted, max_results=1)), None)


def _metrics(record: Record) -> Iterator[Any]:
    """Curves by epoch at the time of each, and the figures at the end; sent twice, they are the same.

    MLflow shows a section of charts for each word before a slash, in order of the alphabet: the curves are first.
    """
    from mlflow.entities import Metric

    for entry in record.history:
        curves = {f"epoch/{name}": entry[name] for name in CURVES}
        usage = {f"system/{name}": value for name, value in entry.get("system", {}).items()}
        for name, value in {**curves, **usage}.items():
            yield Metric(name, float(value), entry["timestamp"], entry["epoch"])
    end = record.history[-1]["timestamp"]
    for name, value in record.figures.items():
        yield Metric(name, float(value), end, 0)


def _dataset(name: str, version: str, address: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": address})
    return DatasetInput(Dataset(name, version, "gs", source), [InputTag("mlflow.data.context", "training")])


def _register(uri: str, run_id: str, files: Sequence[Path], tags: Mapping[str, str], description: str) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    client = MlflowClient(tracking_uri=uri)
    versions = client.search_model_versions(f"name = '{MODEL}' and run_id = '{run_id}'")
    if not versions:
        shown = {**tags, "mlflow.note.content": description}
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in shown.items()])
        for file in files:
            client.log_artifact(run_id, str(file), MODEL_FOLDER)
    model = _registered(client)
    version = versions[0] if versions else _version(client, run_id, tags, description)
    # A pod that starts again late must not take the alias from a newer model.
    if int(model.aliases.get(CANDIDATE, 0)) < int(version.version):
        client.set_registered_model_alias(MODEL, CANDIDATE, version.version)


def _registered(client: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    try:
        return client.create_registered_model(MODEL, description="Each version is a model published in the bucket.")
    except MlflowException:  # another run may make it at the same time
        return client.get_registered_model(MODEL)


def _version(client: Any, run_id: str, tags: Mapping[str, str], description: str) -> Any:
    source = f"runs:/{run_id}/{MODEL_FOLDER}"
    return client.create_model_version(MODEL, source, run_id, dict(tags), description=description, await_creation_for=0)
