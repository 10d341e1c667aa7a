"""The dashboards ask for metrics that are really exported, with labels that they have, and name no cluster."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mlops_operator import metrics
from tests.unit.operator.training_run_world import conditions, run

DASHBOARDS = sorted((Path(__file__).parents[2] / "deploy" / "dashboards").glob("training*.json"))
METRIC = re.compile(r"\b(?:trainingruns?|mlops_operator)(?:_[a-z]+)*\b")
LABELS = re.compile(r"by \(([^)]*)\)|\{([^}]*)\}")


def exported() -> dict[str, set[str]]:
    """Each metric's names in a query, with its labels."""
    runs = CollectorRegistry()
    runs.register(metrics.RunCollector(lambda: [run({"conditions": conditions("Unknown", "Training", "")})]))
    found: dict[str, set[str]] = {}
    for family in runs.collect():
        found[family.name] = set(family.samples[0].labels)
    collectors = {value for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)}
    for collector in collectors:
        [family] = collector.describe()
        labels = set(collector._labelnames)
        for ending in ("", "_total", "_count"):
            found[family.name + ending] = labels
        found[f"{family.name}_bucket"] = {*labels, "le"}
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked = [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return shown + asked


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_query_is_of_exported_metrics_and_their_labels(path: Path) -> None:
    known = exported()
    asked = queries(json.loads(path.read_text()))
    assert len(asked) >= 10
    for query in asked:
        [metric] = set(METRIC.findall(query))
        assert metric in known, query
        for grouped, selected in LABELS.findall(query):
            in_braces = re.findall(r"(\w+)\s*=~?", selected)
            names = {name.strip() for name in grouped.split(",")} if grouped else set(in_braces)
            assert names <= known[metric], query


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_data_source_and_cluster_are_the_viewers_choice(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert sources == {"${datasource}"}
    assert "cluster" not in json.dumps([panel.get("targets") for panel in dashboard["panels"]])
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [(p["x"] + dx, p["y"] + dy) for p in places for dx in range(p["w"]) for dy in range(p["h"])]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert all(p["x"] + p["w"] <= 24 for p in places)
