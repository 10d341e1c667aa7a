"""`python -m scripts.dashboards`: write deploy/monitoring/dashboards from the tables of `scripts.panels`.

Each dashboard once for Grafana and once for Cloud Monitoring. With `--check` it changes nothing and says what would.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.panels import DASHBOARDS, Dashboard, Panel

FOLDER = Path(__file__).parents[1] / "deploy" / "monitoring" / "dashboards"
NAMESPACE = re.compile(r',? ?\w*namespace=~"\$namespace"')  # a choice of the viewer's, in Grafana alone
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 12, 8  # of a panel, in cells of Grafana, whose rows have 24


def everywhere(expr: str) -> str:
    """The expression for all namespaces."""
    return NAMESPACE.sub("", expr).replace("{}", "").replace("{, ", "{")


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana imports it; data source and namespaces are chosen by the viewer."""
    chosen = {"text": "All", "value": "$__all"}
    namespaces = {"query": dashboard.namespaces, "refId": "namespaces"}
    variables = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
        {
            "name": "namespace",
            "label": "Namespace",
            "type": "query",
            "datasource": SOURCE,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "refresh": 2,
            "query": namespaces,
            "current": chosen,
        },
    ]
    return {
        "title": dashboard.title,
        "uid": f"cats-dogs-{dashboard.name}",
        "tags": ["cats-dogs"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_grafana_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _grafana_panel(number: int, panel: Panel) -> dict[str, Any]:
    table = panel.kind == "table"
    defaults: dict[str, Any] = {"unit": panel.unit}
    if not table:
        stacking = {"stacking": {"mode": "normal"}} if panel.kind == "stacked" else {}
        defaults["custom"] = {"fillOpacity": 20 if stacking else 5, **stacking}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            **({"format": "table", "instant": True} if table else {}),
        }
        for index, query in enumerate(panel.queries)
    ]
    hidden = ("Time", "Value", "__name__", "job", "instance", "pod", "container", "namespace")
    organize = {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True)}}
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.says,
        "type": "table" if table else "timeseries",
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": number % 2 * WIDTH, "y": number // 2 * HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
        **({"transformations": [organize]} if table else {}),
    }


def google(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as `gcloud monitoring dashboards create` takes it."""
    tiles = [
        {
            "xPos": number % 2 * 24,
            "yPos": number // 2 * 16,
            "width": 24,
            "height": 16,
            "widget": {"title": panel.title, **_google_widget(panel)},
        }
        for number, panel in enumerate(dashboard.panels)
    ]
    return {"displayName": dashboard.title, "mosaicLayout": {"columns": 48, "tiles": tiles}}


def _google_widget(panel: Panel) -> dict[str, Any]:
    if panel.kind == "table":
        sets = [{"timeSeriesQuery": {"prometheusQuery": everywhere(query.expr)}} for query in panel.queries]
        return {"timeSeriesTable": {"dataSets": sets}}
    plot = "STACKED_AREA" if panel.kind == "stacked" else "LINE"
    data = [
        {
            "timeSeriesQuery": {"prometheusQuery": everywhere(query.expr)},
            "plotType": plot,
            "targetAxis": "Y1",
            "legendTemplate": re.sub(r"\{\{(\w+)\}\}", r"${metric.labels.\1}", query.legend),
        }
        for query in panel.queries
    ]
    return {"xyChart": {"dataSets": data, "yAxis": {"label": panel.unit, "scale": "LINEAR"}}}


def files() -> dict[Path, str]:
    """Each file that there is to be, with its content."""
    forms = (("grafana", grafana), ("google", google))
    return {
        FOLDER / form / f"{dashboard.name}.json": json.dumps(make(dashboard), indent=2) + "\n"
        for form, make in forms
        for dashboard in DASHBOARDS
    }


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with --check say which are out of date."""
    wanted = files()
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text() != text]
    for file in stale:
        if "--check" in arguments:
            print(f"{file.relative_to(FOLDER)} is out of date: python -m scripts.dashboards", file=sys.stderr)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[file])
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
