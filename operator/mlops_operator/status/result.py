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
STALE = timedelta(seconds=60)
STOPPED_BY = ("epochs", "early", "time")
MOST_WARNINGS = 8
WARNING_TEXT = 512
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_LOSS = 1e6
_SHARES = (
    *("testAccuracy", "testAccuracyLow", "testAccuracyHigh"),
    *("rocAuc", "rocAucLow", "rocAucHigh"),
    "calibrationError",
)
_LOSSES = ("testLoss", "testLossLow", "testLossHigh")


class ResultError(ValueError):
    """A result that can't be used; the message says what is wrong with it."""


def outcome(
    found: Mapping[str, Any], bucket: str, version: str, run: TrainingRun, settings: Settings
) -> dict[str, Any]:
    """model, lineage and warnings for the status, from the summary of evaluate or a flat model.json.

    Raises ResultError when it names no model.
    """
    warnings = _warnings(found)
    return {
        "model": model(found, bucket, version, run.spec.parameters["architecture"]),
        "lineage": lineage(found, run, settings),
        **({"warnings": warnings} if warnings else {}),
    }


def model(found: Mapping[str, Any], bucket: str, version: str, architecture: str) -> dict[str, Any]:
    """status.model from the summary of evaluate or from model.json with its metrics laid open.

    The address follows from bucket and version and is not taken from outside. Raises ResultError without a
    SHA-256, without which no server would load the model.
    """
    sha256 = found.get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ResultError(f"{uri(bucket, model_prefix(version))}: no SHA-256 of model.pt is given")
    stopped_by = found.get("stoppedBy")
    return _clean(
        {
            "uri": uri(bucket, f"{model_prefix(version)}model.pt"),
            "sha256": sha256,
            "version": version,
            "architecture": architecture,
            **{name: ratio(found.get(name)) for name in _SHARES},
            **{name: ratio(found.get(name), most=_MOST_LOSS) for name in _LOSSES},
            "testCount": whole(found.get("testCount")),
            "stoppedBy": stopped_by if stopped_by in STOPPED_BY else None,
        }
    )


def in_words(found: Mapping[str, Any]) -> str:
    """Accuracy with its interval, and address of the model of an outcome, as the end of a sentence."""
    of = found["model"]
    interval = f" ({of['testAccuracyLow']} to {of['testAccuracyHigh']})" if "testAccuracyHigh" in of else ""
    accuracy = f", test accuracy {of['testAccuracy']}{interval}" if "testAccuracy" in of else ""
    return f"{accuracy}: {of['uri']}"


def lineage(found: Mapping[str, Any], run: TrainingRun, settings: Settings) -> dict[str, Any]:
    """status.lineage; MLflow's in-cluster address is replaced by the public one where that is set."""
    url = _text(found.get("mlflowRunUrl"), 512)
    if settings.mlflow_public_url and settings.mlflow_tracking_uri and url:
        url = url.replace(settings.mlflow_tracking_uri.rstrip("/"), settings.mlflow_public_url, 1)
    trained_by = _text(found.get("trainingRun"), 320)
    return _clean(
        {
            "dataVersion": _text(found.get("dataVersion"), 64),
            "gitCommit": _text(found.get("gitCommit"), 64) or run.git_commit,
            "trainedBy": trained_by if trained_by != f"{run.namespace}/{run.name}" else None,
            "mlflowRunId": _text(found.get("mlflowRunId"), 64),
            "mlflowRunUrl": url[:512] if url else None,
            "mlflowMissed": _text(found.get("mlflowMissed"), 512),
        }
    )


def _warnings(found: Mapping[str, Any]) -> list[str]:
    """What evaluate's sanity checks found odd, and what MLflow did not get."""
    sanity = found.get("sanity")
    said = sanity.get("warnings") if isinstance(sanity, Mapping) else found.get("warnings")
    texts = [_text(text, WARNING_TEXT) for text in said] if isinstance(said, list) else []
    missed = _text(found.get("mlflowMissed"), WARNING_TEXT)
    texts += [f"not all is in MLflow: {missed}"[:WARNING_TEXT]] if missed else []
    return [text for text in texts if text][:MOST_WARNINGS]


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """model.json with its `metrics` and `lineage` laid beside the rest, as evaluate's summary has them."""
    parts = [document.get(name) for name in ("lineage", "metrics")]
    inner = {key: value for part in parts if isinstance(part, Mapping) for key, value in part.items()}
    return {**inner, **document}


def progress(old: Mapping[str, Any], seen: Progress | None, stage: str, now: datetime) -> dict[str, Any]:
    """status.progress in `stage`: the old one as long as nothing but time has passed for under 10 s.

    Epochs and accuracy of the training stay when a later stage runs. An estimate of a trainer that has said
    nothing for a minute is worth nothing.
    """
    if seen is None or seen.stage != stage or now - seen.seen > STALE:
        if not old or old.get("stage") == stage:
            silent = "lastSeen" in old and now - parse_time(old["lastSeen"]) > STALE
            return at_end(old) if silent else dict(old)
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


def ratio(value: Any, most: float = 1) -> str | None:
    """A number from 0 to `most` with four decimals; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return f"{value:.4f}" if 0 <= value <= most else None


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
