"""The EDA report as one HTML page with its pictures inside: opens from a bucket, a mail or a disk.
It must not compute figures or load anything from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from catsdogs.pipeline.workspace import EDA

LISTED = 200  # rejects named on the page; all are in the manifest
ROWS = {
    "photographs": "Photographs",
    "medianWidth": "Median width, px",
    "medianHeight": "Median height, px",
    "medianAspect": "Median width / height",
    "brightness": "Brightness",
    "channelMeans": "Channel means, RGB",
    "channelDeviations": "Channel deviations, RGB",
}


def page(summary: Mapping[str, Any], rejects: Sequence[Mapping[str, str]], captions: Mapping[str, str]) -> str:
    """The page from summary.json, the rejects, and the captions of the PNGs in data/eda by file name."""
    wide = {name: text for name, text in captions.items() if name.startswith("samples")}
    narrow = {name: text for name, text in captions.items() if name not in wide}
    return PAGE.format(
        version=escape(summary["dataVersion"]),
        cards="".join(f"<div><b>{escape(fact)}</b><span>{name}</span></div>" for name, fact in _cards(summary)),
        samples=_figures(wide),
        plots=_figures(narrow),
        classes=_classes(summary["classes"]),
        rejects=_rejects(summary["rejectedByReason"], rejects),
    )


def _cards(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    share = summary["classes"]["cat"]["photographs"] / summary["photographs"]
    splits = " / ".join(f"{sum(content.values()):,}" for content in summary["splits"].values())
    return [
        ("photographs", f"{summary['photographs']:,}"),
        ("megabytes", f"{summary['bytes'] / 1e6:,.0f}"),
        ("set aside", f"{summary['rejected']:,}"),
        ("cats", f"{share:.1%}"),
        (" / ".join(summary["splits"]), splits),
    ]


def _figures(captions: Mapping[str, str]) -> str:
    def inside(name: str) -> str:
        return base64.b64encode((EDA / name).read_bytes()).decode()

    return "".join(
        f'<figure><figcaption>{escape(text)}</figcaption><img alt="{escape(text)}" '
        f'src="data:image/png;base64,{inside(name)}"></figure>'
        for name, text in captions.items()
    )


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> str:
    def cell(value: Any) -> str:
        return " ".join(f"{part:.3f}" for part in value) if isinstance(value, list) else f"{value:,}"

    head = "".join(f"<th>{escape(label)}" for label in classes)
    rows = "".join(
        f"<tr><th>{title}" + "".join(f"<td>{cell(content[name])}" for content in classes.values())
        for name, title in ROWS.items()
    )
    return f"<table><tr><th>{head}{rows}</table>"


def _rejects(by_reason: Mapping[str, int], rejects: Sequence[Mapping[str, str]]) -> str:
    if not rejects:
        return "<p>None: every file is a photograph that can be used.</p>"
    reasons = "".join(f"<li><b>{count:,}</b> {escape(reason)}" for reason, count in by_reason.items())
    rows = "".join(
        f"<tr><td>{escape(reject['name'])}<td>{escape(reject['reason'])}<td>{escape(reject['detail'])}"
        for reject in rejects[:LISTED]
    )
    more = f"<p>and {len(rejects) - LISTED:,} more, all in the manifests</p>" if len(rejects) > LISTED else ""
    table = f"<table><tr><th>File<th>Reason<th>Detail{rows}</table>{more}"
    opened = " open" if len(rejects) <= 20 else ""
    return f"<ul>{reasons}</ul><details{opened}><summary>Each file</summary>{table}</details>"


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Cats and dogs: the data</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{{font:16px/1.5 system-ui,sans-serif;margin:2.5rem auto;max-width:1120px;padding:0 1.25rem;color:#1f2937}}
h1{{margin:0;font-size:1.9rem}}h2{{margin:2.25rem 0 .75rem;font-size:1.2rem}}
.lead,figcaption,.cards span{{color:#4b5563}}.lead{{margin:.25rem 0 1.5rem}}code{{font-size:.95em}}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.75rem}}
.cards div{{background:#f8fafc;border:1px solid #e5e7eb;border-radius:10px;padding:.75rem 1rem}}
.cards b{{display:block;font-size:1.35rem;line-height:1.3}}.cards span,figcaption{{font-size:.9rem}}
.plots{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(460px,100%),1fr));gap:1.5rem 2rem}}
figure{{margin:0 0 .75rem}}figcaption{{margin-bottom:.35rem}}img{{max-width:100%;height:auto;display:block}}
table{{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}}
td,th{{text-align:left;font-weight:400;padding:.3rem 1.5rem .3rem 0;border-bottom:1px solid #e5e7eb}}
th{{color:#4b5563}}ul{{list-style:none;padding:0;display:flex;gap:1.5rem;flex-wrap:wrap;margin:0 0 .75rem}}
summary{{cursor:pointer;margin-bottom:.5rem}}</style>
<h1>Cats and dogs: the data</h1><p class="lead">Data version <code>{version}</code></p>
<div class="cards">{cards}</div>
<h2>Samples of the train split</h2>{samples}
<h2>Counts, sizes, light</h2><div class="plots">{plots}</div>
<h2>The classes beside each other</h2>{classes}
<h2>Set aside</h2>{rejects}</html>
"""
