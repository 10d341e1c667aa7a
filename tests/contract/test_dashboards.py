"""The dashboards are those of the table of panels, ask for what is really exported, and name no cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import dashboards, panels
from tests.contract.monitored import TARGET, asked, exported, listed, records

FILES = dashboards.files()
GRAFANA = [path for path in FILES if path.parent.name == "grafana"]
GOOGLE = [path for path in FILES if path.parent.name == "google"]
# What rules record keeps these of what it is made of.
RECORDED = {"label"}


def test_the_files_are_up_to_date() -> None:
    there = set(dashboards.FOLDER.rglob("*.*"))
    assert there == set(FILES)
    for path, text in FILES.items():
        assert path.read_text() == text, f"{path.name}: python -m scripts.dashboards"


@pytest.mark.parametrize("dashboard", panels.DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_every_query_is_of_exported_metrics_and_their_labels(dashboard: panels.Dashboard) -> None:
    known = exported() | dict.fromkeys(records(), RECORDED)
    own = {*TARGET, "model_server"}
    queries = [query.expr for panel in dashboard.panels for query in panel.queries]
    assert len(queries) >= 10
    for query in (*queries, dashboard.namespaces):
        found = {name: labels for name, labels in asked(query).items() if name not in TARGET | {"resource_namespace"}}
        assert found
        for metric, labels in found.items():
            assert metric in known, query
            assert labels <= known[metric] | own, query
            assert listed(query) <= known[metric] | own, query


def test_a_misspelt_metric_or_label_would_be_found() -> None:
    found = asked('sum by (le) (rate(trainingrun_secs_bucket{outcom="x", name!~"y"}[5m])) / up')
    assert found == {"trainingrun_secs_bucket": {"outcom", "name"}, "up": set()}
    assert listed("sum by (le, stage) (x) / on (y) z") == {"le", "stage", "y"}


@pytest.mark.parametrize("path", GRAFANA, ids=lambda path: path.name)
def test_data_source_and_cluster_are_the_viewers_choice(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert sources == {"${datasource}"}
    assert "cluster" not in json.dumps([panel["targets"] for panel in dashboard["panels"]])
    overlap([panel["gridPos"] for panel in dashboard["panels"]], ("x", "y", "w", "h"), 24)


@pytest.mark.parametrize("path", GOOGLE, ids=lambda path: path.name)
def test_cloud_monitoring_shows_the_same_for_all_namespaces(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    tiles = dashboard["mosaicLayout"]["tiles"]
    overlap(tiles, ("xPos", "yPos", "width", "height"), dashboard["mosaicLayout"]["columns"])
    widgets = [tile["widget"] for tile in tiles]
    sets = [one for each in widgets for one in (each.get("xyChart") or each["timeSeriesTable"])["dataSets"]]
    found = [one["timeSeriesQuery"]["prometheusQuery"] for one in sets]
    [source] = [each for each in panels.DASHBOARDS if each.name == path.stem]
    assert len(found) == sum(len(panel.queries) for panel in source.panels)
    assert "cluster" not in "".join(found)
    for query in found:
        assert "$" not in query
        assert "{}" not in query


def test_the_choice_of_namespaces_is_left_out_wherever_it_stands() -> None:
    assert dashboards.everywhere('a{namespace=~"$namespace"} + b{x="1", resource_namespace=~"$namespace"}') == (
        'a + b{x="1"}'
    )
    assert dashboards.everywhere('c{namespace=~"$namespace", x="1"}') == 'c{x="1"}'


def overlap(places: list[dict[str, Any]], names: tuple[str, ...], width: int) -> None:
    """No two places share a cell, and none is wider than the page."""
    x, y, w, h = names
    cells = [(p[x] + dx, p[y] + dy) for p in places for dx in range(p[w]) for dy in range(p[h])]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert all(p[x] + p[w] <= width for p in places)
