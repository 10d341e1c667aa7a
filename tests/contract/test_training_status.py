"""Whatever reconcile writes into a TrainingRun's status is declared in the CRD, in type, range and length.

A field that is missing there would be pruned by the API server without a word.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_operator.api.training_run import Lookup, Observed, Progress
from tests.unit.operator import test_training_run_with_job as scenes
from tests.unit.operator.training_run_world import (
    FOUND,
    MODEL_JSON,
    NOW,
    VERSION,
    failed,
    job,
    passed,
    pod,
    run,
    trained_pod,
)

CRD = Path(__file__).parents[2] / "crds" / "trainingruns.mlops.cats-dogs.io.yaml"
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}


def schema() -> dict[str, Any]:
    """The schema of the whole resource."""
    [version] = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def faults(value: Any, wanted: dict[str, Any], where: str = "status") -> Iterator[str]:
    """What of `value` the schema `wanted` does not allow."""
    if not isinstance(value, TYPES[wanted["type"]]):
        yield f"{where}: {value!r} is no {wanted['type']}"
    elif isinstance(value, str):
        yield from text_faults(value, wanted, where)
    elif isinstance(value, int):
        if not wanted.get("minimum", value) <= value <= wanted.get("maximum", value):
            yield f"{where}: {value} is out of range"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, wanted["items"], f"{where}[{number}]")
    else:
        yield from object_faults(value, wanted, where)


def text_faults(value: str, wanted: dict[str, Any], where: str) -> Iterator[str]:
    """The same for a string."""
    if value not in wanted.get("enum", [value]):
        yield f"{where}: {value!r} is none of {wanted['enum']}"
    if not re.search(wanted.get("pattern", ""), value):
        yield f"{where}: {value!r} does not match {wanted['pattern']}"
    if len(value) > wanted.get("maxLength", 64):
        yield f"{where}: {len(value)} characters are too many"


def object_faults(value: dict[str, Any], wanted: dict[str, Any], where: str) -> Iterator[str]:
    """The same for an object."""
    yield from (f"{where}.{name} is missing" for name in wanted.get("required", ()) if name not in value)
    for name, item in value.items():
        if name in wanted["properties"]:
            yield from faults(item, wanted["properties"][name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is not declared"


LONG = "x" * 100_000
LOUD_MODEL = {**MODEL_JSON, "lineage": {"dataVersion": LONG, "mlflowRunUrl": LONG, "gitCommit": LONG}}
LOUD_REPORT = json.dumps({"reason": LONG, "message": LONG, "hint": LONG})
SCENES: dict[str, tuple[dict[str, Any], Observed]] = {
    "recorded": (run(), Observed(job=job())),
    "empty bucket": (run(), Observed(lookup=Lookup())),
    "reused": (run(), Observed(lookup=Lookup(FOUND.raw_hash, 4, VERSION, LOUD_MODEL))),
    "suspended": (run(scenes.recorded(), suspend=True), Observed(job=job())),
    "training": (
        run(scenes.recorded()),
        Observed(job=job(), pods=(scenes.TRAINING,), progress=Progress("Train", NOW, 100, 9, 9, 1.0, 10**7)),
    ),
    "completed": (run(scenes.recorded()), Observed(job=job("Complete"), pods=(trained_pod(),))),
    "retrying": (run(scenes.recorded()), Observed(job=job(), pods=(pod("Failed", {"eda": failed(1, LONG)}),))),
    "loud failure": (
        run(scenes.recorded()),
        Observed(job=job("Failed"), pods=(pod("Failed", {"eda": failed(1, LOUD_REPORT)}),)),
    ),
    "loud eviction": (
        run(scenes.recorded()),
        Observed(job=job("Failed"), pods=(pod("Failed", {}, status={"reason": "Evicted", "message": LONG}),)),
    ),
    "loud waiting": (
        run(scenes.recorded()),
        Observed(
            job=job(),
            pods=(pod("Pending", {"ingest": {"waiting": {"reason": "ErrImagePull", "message": LONG}}}),),
        ),
    ),
    "job lost": (run(scenes.recorded()), Observed(lookup=Lookup(version=VERSION))),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("seconds", [30, 10_000])
def test_status_is_declared(name: str, seconds: int) -> None:
    plan = passed(*SCENES[name], seconds=seconds)
    assert plan.status is not None
    assert list(faults(plan.status, schema()["properties"]["status"])) == []


def test_the_check_finds_faults() -> None:
    wanted = schema()["properties"]["status"]
    wrong = {"stage": "Bake", "attempts": "1", "image": LONG, "other": 1, "progress": {"percent": 101}}
    assert len(list(faults({**wrong, "conditions": [{"type": "X"}]}, wanted))) == 9


def fields(wanted: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All fields below `wanted`, with their paths."""
    for name, inner in wanted.get("properties", {}).items():
        yield f"{where}.{name}", inner
        yield from fields(inner.get("items", inner), f"{where}.{name}")


def test_every_field_is_described_and_bounded() -> None:
    parts = schema()["properties"]
    found = [field for part in ("spec", "status") for field in fields(parts[part], part)]
    assert [where for where, inner in found if not inner.get("description")] == []
    texts = [(where, inner) for where, inner in found if inner["type"] == "string"]
    assert [where for where, inner in texts if not inner.keys() & {"maxLength", "enum", "format"}] == []
    assert [where for where, inner in found if inner["type"] == "array" and "maxItems" not in inner] == []
    assert len(found) > 60
