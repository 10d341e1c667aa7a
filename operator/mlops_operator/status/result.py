"""The result in a TrainingRun's status: model, lineage and progress, from what stages and bucket say.

What comes from pod or bucket is checked and cut here, so that no text of theirs can spoil the status.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from catsdogs.key import model_prefix, uri
from mlops_operator.api.settings import Settings
from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.api.training_run import Progress, TrainingRun

PROGRESS_INTERVAL = timedelta(seconds=10)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ResultError(ValueError):
    """A result that can't be used; the message says what is wrong with it."""


def model(found: Mapping[str, Any], bucket: str, version: str, architecture: str) -> dict[str, Any]:
    """status.model from the summary of evaluate or from model.json with its metrics laid open.

    The address follows from bucket and version and is not taken from outside. Raises ResultError without a
    SHA-256, without which no server would load the model.
    """
    sha256 = found.get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ResultError(f"{uri(bucket, model_prefix(version))}: no SHA-256 of model.pt is given")
    return _clean(
        {
            "uri": uri(bucket, f"{model_prefix(version)}model.pt"),
            "sha256": sha256,
            "version": version,
            "architecture": architecture,
            "testAccuracy": ratio(found.get("testAccuracy")),
            "testAccuracyLow": ratio(found.get("testAccuracyLow")),
            "testAccuracyHigh": ratio(found.get("testAccuracyHigh")),
            "testCount": whole(found.get("testCount")),
        }
    )


def lineage(found: Mapping[str, Any], run: TrainingRun, settings: Settings) -> dict[str, Any]:
    """status.lineage; MLflow's in-cluster address is replaced by the public one where that is set."""
    url = _text(found.get("mlflowRunUrl"), 512)
    if settings.mlflow_public_url and settings.mlflow_tracking_uri and url:
        url = url.replace(settings.mlflow_tracking_uri.rstrip("/"), settings.mlflow_public_url, 1)
    return _clean(
        {
            "dataVersion": _text(found.get("dataVersion"), 64),
            "gitCommit": _text(found.get("gitCommit"), 64) or run.git_commit,
            "mlflowRunId": _text(found.get("mlflowRunId"), 64),
            "mlflowRunUrl": url[:512] if url else None,
        }
    )


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """model.json with its `metrics` and `lineage` laid beside the rest, as evaluate's summary has them."""
    parts = [document.get(name) for name in ("lineage", "metrics")]
    inner = {key: value for part in parts if isinstance(part, Mapping) for key, value in part.items()}
    return {**inner, **document}


def progress(old: Mapping[str, Any], seen: Progress | None, stage: str) -> dict[str, Any]:
    """status.progress in `stage`: the old one as long as nothing but time has passed for under 10 s.

    Epochs and accuracy of the training stay when a later stage runs.
    """
    if seen is None or seen.stage != stage:
        if not old or old.get("stage") == stage:
            return dict(old)
        return _clean({"stage": stage, **{k: old.get(k) for k in ("epoch", "epochs", "valAccuracy")}})
    same = old.get("stage") == stage and old.get("epoch") == (seen.epoch or old.get("epoch"))
    if same and "lastSeen" in old and seen.seen - parse_time(old["lastSeen"]) < PROGRESS_INTERVAL:
        return dict(old)
    return _clean(
        {
            "stage": stage,
            "percent": seen.percent,
            "epoch": old.get("epoch") if seen.epoch is None else seen.epoch,
            "epochs": old.get("epochs") if seen.epochs is None else seen.epochs,
            "valAccuracy": old.get("valAccuracy") if seen.val_accuracy is None else ratio(seen.val_accuracy),
            "etaSeconds": seen.eta_seconds,
            "eta": duration(seen.eta_seconds),
            "lastSeen": timestamp(seen.seen),
        }
    )


def trained(old: Mapping[str, Any], summary: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """status.progress with what `train` summed up at its end; `old` where it said nothing."""
    found = _clean({"epoch": whole(summary.get("epochs")), "valAccuracy": ratio(summary.get("valAccuracy"))})
    return {"stage": stage, **old, **found} if found else dict(old)


def at_end(old: Mapping[str, Any]) -> dict[str, Any]:
    """status.progress of a finished run: no estimate of time left."""
    return {name: value for name, value in old.items() if name not in ("eta", "etaSeconds")}


def ratio(value: Any) -> str | None:
    """A number from 0 to 1 with four decimals; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return f"{value:.4f}" if 0 <= value <= 1 else None


def whole(value: Any) -> int | None:
    """A whole number from 0 to 2^31 - 1; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 2**31 else None


def duration(seconds: int | None) -> str | None:
    """Seconds for people: 45s, 1m24s, 2h05m."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"


def remaining(limit: float, since: datetime, now: datetime) -> float:
    """Seconds left of `limit` that began at `since`; negative when it is over."""
    return limit - (now - since).total_seconds()


def _text(value: Any, limit: int) -> str | None:
    return value[:limit] if isinstance(value, str) and value.isprintable() else None


def _clean(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in (None, "")}
