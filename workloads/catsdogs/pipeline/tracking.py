"""MLflow: one run per training with parameters, curves, figures and tags; delivered when all is measured.
It must not stop or slow a training: short timeouts, and every failure ends as a sentence in the result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPERIMENT = "cats-dogs"
# Seconds and tries that a dead server may cost.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
CURVES = ("trainLoss", "valLoss", "valAccuracy", "learningRate")


@dataclass(frozen=True)
class Tracked:
    """Where the run can be looked at, or why it can't (`missed`)."""

    run_id: str = ""
    url: str = ""
    missed: str = ""


def track(
    uri: str,
    name: str,
    parameters: dict[str, Any],
    history: list[dict[str, Any]],
    figures: dict[str, Any],
    tags: dict[str, str],
    artifacts: list[Path],
) -> Tracked:
    """Deliver one run; `figures` are numbers by name. Never raises."""
    if not uri:
        return Tracked(missed="no MLFLOW_TRACKING_URI")
    os.environ.update({name: os.environ.get(name, value) for name, value in LIMITS.items()})
    try:
        return _deliver(uri, name, parameters, history, figures, tags, artifacts)
    except Exception as error:
        return Tracked(missed=f"{type(error).__name__}: {error}".splitlines()[0][:300])


def _deliver(
    uri: str,
    name: str,
    parameters: dict[str, Any],
    history: list[dict[str, Any]],
    figures: dict[str, Any],
    tags: dict[str, str],
    artifacts: list[Path],
) -> Tracked:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
    start = history[0]["timestamp"] - int(history[0]["seconds"] * 1000)
    run_id = client.create_run(experiment_id, start_time=start, run_name=name).info.run_id
    end = history[-1]["timestamp"]
    curves = [
        Metric(curve, float(entry[curve]), entry["timestamp"], entry["epoch"]) for entry in history for curve in CURVES
    ]
    last = [Metric(figure, float(value), end, 0) for figure, value in figures.items()]
    for begin in range(0, len(curves + last), 900):  # the server takes 1,000 a call
        client.log_batch(run_id, metrics=(curves + last)[begin : begin + 900])
    client.log_batch(
        run_id,
        params=[Param(parameter, str(value)) for parameter, value in parameters.items()],
        tags=[RunTag(tag, value) for tag, value in tags.items()],
    )
    url = f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
    missed = _send_artifacts(client, run_id, artifacts)
    client.set_terminated(run_id)
    return Tracked(run_id, url, missed)


def _send_artifacts(client: Any, run_id: str, artifacts: list[Path]) -> str:
    """Plots and pages; a server without an artifact store loses only these."""
    try:
        for path in artifacts:
            client.log_artifact(run_id, str(path), "evaluation" if path.suffix == ".png" else None)
    except Exception as error:
        return f"artifacts: {type(error).__name__}: {error}".splitlines()[0][:300]
    return ""
