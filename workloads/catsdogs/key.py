"""The one truth about names: the training parameters, the hash of the raw photographs, the key of a run
and the paths in the bucket. It is pure standard library, because the operator's image carries it without
the rest of this package, and it must not read anything: no files, no network, no environment."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

RAW_PREFIX = "datasets/cats-dogs/raw/"
DATASETS_PREFIX = "datasets/cats-dogs/"
MODELS_PREFIX = "models/cats-dogs/"
CHECKPOINTS_PREFIX = "checkpoints/cats-dogs/"
EVALSETS_PREFIX = "evalsets/"
GOLDEN_PREFIX = "golden/"
DVC_PREFIX = "dvc"
CLASSES = ("cat", "dog")
CLASS_FOLDERS = ("Cat", "Dog")
STAGES = ("ingest", "preprocess", "eda", "train", "evaluate")
VERSION_LENGTH = 12


@dataclass(frozen=True)
class Parameter:
    """One field of spec.parameters: an enum, an integer range (both ends allowed) or a decimal string."""

    name: str
    default: str | int
    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[str, ...] = ()
    pattern: str = ""
    max_length: int = 32


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("architecture", "SimpleCNN", enum=("SimpleCNN", "DeepCNN")),
    Parameter("epochs", 150, minimum=1, maximum=500),
    Parameter("batchSize", 64, minimum=1, maximum=1024),
    # A positive decimal below 10; a string, since a Kubernetes API has no floats.
    Parameter("learningRate", "0.002", pattern=r"^(0\.0*[1-9][0-9]*|[1-9](\.[0-9]+)?)$", max_length=12),
    Parameter("imageSize", 96, minimum=32, maximum=256),
    Parameter("seed", 1, minimum=0, maximum=2**31 - 1),
    Parameter("maxTrainSeconds", 600, minimum=1, maximum=86400),
)


class ParameterError(ValueError):
    """A parameter that is unknown or out of its range; the message names the parameter and the range."""


@dataclass(frozen=True, order=True)
class RawPhoto:
    """One raw object: name relative to RAW_PREFIX ("Cat/1.jpg"), bytes, base64 crc32c as GCS gives it."""

    name: str
    size: int
    crc32c: str


def checked_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters in the order of PARAMETERS: those given, checked, and the defaults of the others.

    Equal values come out equal ("0.0020" as "0.002"), so that they give the same key.
    Raises ParameterError naming the first parameter that is unknown or out of range.
    """
    known = {parameter.name for parameter in PARAMETERS}
    for name in given:
        if name not in known:
            raise ParameterError(f"parameters.{name}: unknown; known are {', '.join(sorted(known))}")
    return {p.name: _checked(p, given.get(p.name, p.default)) for p in PARAMETERS}


def _checked(parameter: Parameter, value: Any) -> str | int:
    where = f"parameters.{parameter.name}"
    if parameter.minimum is not None and parameter.maximum is not None:
        in_range = isinstance(value, int) and not isinstance(value, bool)
        if not in_range or not parameter.minimum <= value <= parameter.maximum:
            raise ParameterError(
                f"{where}: {value!r} is not an integer from {parameter.minimum} to {parameter.maximum}"
            )
        return int(value)
    if parameter.enum:
        if value not in parameter.enum:
            raise ParameterError(f"{where}: {value!r} is not one of {', '.join(parameter.enum)}")
        return str(value)
    fits = isinstance(value, str) and len(value) <= parameter.max_length
    if not fits or not re.fullmatch(parameter.pattern, value):
        raise ParameterError(f"{where}: {value!r} is not a decimal string like {parameter.default!r}")
    return format(Decimal(value).normalize(), "f")


def raw_hash(entries: Iterable[RawPhoto]) -> str:
    """SHA-256 (hex) over the sorted lines "name\\tsize\\tcrc32c\\n": any changed byte shows."""
    lines = sorted(f"{entry.name}\t{entry.size}\t{entry.crc32c}\n" for entry in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def version(raw: str, parameters: Mapping[str, Any], image: str, rerun: str = "") -> str:
    """The run's key, 12 hex digits: raw photographs, checked parameters and the image's digest.

    `image` may be a full reference; only what follows "@" counts, so that moving an image keeps the key. `rerun`
    names a run that trains anew whatever was trained before: it makes the key that run's own.
    """
    digest = image.rpartition("@")[2]
    content = {"image": digest, "parameters": checked_parameters(parameters), "raw": raw}
    if rerun:
        content["rerun"] = rerun
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]


def data_prefix(data_version: str, stage: str) -> str:
    """Where a version of the data lies; `stage` is ingested, processed or eda."""
    return f"{DATASETS_PREFIX}{data_version}/{stage}/"


def model_prefix(run_version: str) -> str:
    """Where a published model lies: model.pt, model.json, dvc.lock, evaluation/."""
    return f"{MODELS_PREFIX}{run_version}/"


def checkpoint_prefix(run_version: str) -> str:
    """Where a run's last good epochs lie until its model is published."""
    return f"{CHECKPOINTS_PREFIX}{run_version}/"


def uri(bucket: str, path: str) -> str:
    """The gs:// address of an object or prefix."""
    return f"gs://{bucket}/{path}"
