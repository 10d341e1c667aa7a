"""The rules and dashboards of deploy/monitoring, and what the code exports, for the tests that hold them together."""

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector

from catsdogs.server.metrics import Metrics
from mlops_operator import metrics
from tests.unit.operator.training_run_world import conditions, run

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = (MONITORING / "rules.yaml", MONITORING / "workloads" / "rules.yaml")
# What the collection adds to each series; `up` is its own.
TARGET = {"namespace", "job", "instance", "pod", "container"}

_TEXT = re.compile(r'"[^"]*"')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LISTED = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHED = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_WINDOW = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
WORDS = {
    *("sum", "min", "max", "avg", "count", "topk", "by", "on", "without", "ignoring", "group_left", "group_right"),
    *(
        "rate",
        "increase",
        "histogram_quantile",
        "abs",
        "absent",
        "max_over_time",
        "and",
        "or",
        "unless",
        "label_values",
    ),
}


def resources() -> list[dict[str, Any]]:
    """The two Rules."""
    return [yaml.safe_load(file.read_text()) for file in RULES]


def groups() -> dict[str, dict[str, Any]]:
    """All groups by name, which is theirs alone."""
    found = [group for resource in resources() for group in resource["spec"]["groups"]]
    assert len({group["name"] for group in found}) == len(found)
    return {group["name"]: group for group in found}


def alerts() -> dict[str, dict[str, Any]]:
    """All alerts by name."""
    found = [rule for group in groups().values() for rule in group["rules"] if "alert" in rule]
    assert len({rule["alert"] for rule in found}) == len(found) >= 10
    return {rule["alert"]: rule for rule in found}


def records() -> set[str]:
    """The names of what rules record."""
    return {rule["record"] for group in groups().values() for rule in group["rules"] if "record" in rule}


def asked(query: str) -> dict[str, set[str]]:
    """The metrics of a PromQL query, each with the labels that its braces name."""
    bare = _WINDOW.sub("", _LISTED.sub("", _TEXT.sub('""', query)))
    found: dict[str, set[str]] = {}
    for metric, inside in _MATCHED.findall(bare):
        found.setdefault(metric, set()).update(re.findall(r"(\w+)\s*[=!]", inside))
    for word in _NAME.findall(re.sub(r"\{[^}]*\}", "", bare)):
        if word not in WORDS:
            found.setdefault(word, set())
    return found


def listed(query: str) -> set[str]:
    """The labels that a query groups or joins by."""
    return {name.strip() for _, names in _LISTED.findall(query) for name in names.split(",") if name.strip()}


def exported() -> dict[str, set[str]]:
    """Each series' name that operator and server export, with its own labels."""
    ended = {"conditions": conditions("False", "OOMKilled", ""), "completionTime": "2999-01-01T00:00:00Z"}
    working = {"conditions": conditions("Unknown", "Training", "")}
    working["progress"] = {"percent": 1, "epoch": 1, "valAccuracy": "0.5"}
    server = {"metadata": {"namespace": "team", "name": "pets"}}
    server["status"] = {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving"}]}
    operator = CollectorRegistry()
    operator.register(metrics.RunCollector(lambda: [run(ended), run(working)]))
    operator.register(metrics.ServerCollector(lambda: [server]))
    ProcessCollector(registry=operator)
    found: dict[str, set[str]] = {"up": set()}
    for family in operator.collect():
        found |= {sample.name: set(sample.labels) for sample in family.samples}
    served = Metrics()
    for collector in (*vars(metrics).values(), *vars(served).values()):
        if isinstance(collector, Counter | Gauge | Histogram):
            [family] = collector.describe()
            found |= _series(family, set(collector._labelnames))
    return found | {"model_info": {"version", "sha256", "architecture", "training_run"}}


def _series(family: Metric, labels: set[str]) -> dict[str, set[str]]:
    name = family.name
    if family.type == "counter":
        return {f"{name}_total": labels}
    if family.type == "histogram":
        return {f"{name}_bucket": {*labels, "le"}, f"{name}_sum": labels, f"{name}_count": labels}
    return {name: labels}
