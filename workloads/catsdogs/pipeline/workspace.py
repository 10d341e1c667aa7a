"""Where everything lies in a workspace (the checkout, or /work/repo in the pod), and small readers and writers.
It must not decide anything: no stage logic, no network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import config_error

RAW_MANIFEST = Path("data/raw-manifest.json")
PREVIOUS = Path("data/previous.json")
INGESTED = Path("data/ingested")
PROCESSED = Path("data/processed")
EDA = Path("data/eda")
MODEL = Path("model/model.pt")
TRAINING = Path("model/training.json")
EVALUATION = Path("model/evaluation")
MODEL_JSON = Path("model/model.json")
CHECKPOINT = Path("model/checkpoint.pt")
STATE = Path(".catsdogs")
PARAMS = Path("params.yaml")
SPLITS = ("train", "val", "test")


def outcome(stage: str) -> Path:
    """Where the process of a stage leaves how it ended; it is not there when the stage's result was reused."""
    return STATE / f"{stage}.json"


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it.

    Large content wants `indent` None, which is ten times faster.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=indent, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def read_parameters(path: Path = PARAMS) -> dict[str, Any]:
    """The checked training parameters of params.yaml. Raises StageError (78) naming the wrong one."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return key.checked_parameters(content if isinstance(content, dict) else {})
    except FileNotFoundError:
        raise config_error(f"{path.absolute()} is missing", "run this in a workspace with params.yaml") from None
    except (yaml.YAMLError, key.ParameterError) as error:
        line = str(error).splitlines()[0]
        raise config_error(f"{path}: {line}", "correct the parameter and run again") from None


def write_parameters(parameters: Mapping[str, Any], path: Path = PARAMS) -> None:
    """Write params.yaml, one parameter a line; strings are quoted, so that "0.002" stays a string."""
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in parameters.items()]
    path.write_text("".join(lines), encoding="utf-8")
