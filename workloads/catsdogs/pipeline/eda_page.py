"""The EDA report as one HTML page with its pictures inside: opens from a bucket, a mail or a disk.
It must not compute figures or load anything from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from catsdogs.pipeline.workspace import EDA

# By the name of a PNG: where on the page it stands; all others are plots.
PLACES = {
    "samples-cat": "samples",
    "samples-dog": "samples",
    "copies": "pairs",
    "look-alikes": "pairs",
    "drift": "drift",
}
ALIKE = {
    "Duplicate": "the same bytes again, set aside",
    "NearDuplicate": "the same picture again, set aside",
    "ConflictingLabels": "in both classes, all set aside",
    "BridgesSplits": "between two splits, set aside",
}
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
    places: dict[str, dict[str, str]] = {place: {} for place in ("samples", "pairs", "drift", "plots")}
    for name, text in captions.items():
        places[PLACES.get(name.partition(".")[0], "plots")][name] = text
    before = summary["inheritedFrom"]
    return PAGE.format(
        version=escape(summary["dataVersion"]),
        before=f", after <code>{escape(before)}</code>" if before else ", the first version",
        cards="".join(f"<div><b>{escape(fact)}</b><span>{name}</span></div>" for name, fact in _cards(summary)),
        samples=_figures(places["samples"]),
        plots=_figures(places["plots"]),
        splits=_splits(summary["splits"]),
        classes=_classes(summary["classes"]),
        pairs=_alike(summary) + _figures(places["pairs"]),
        drift=_drift(summary["drift"]) + _figures(places["drift"]),
        rejects=_rejects(summary["rejectedByReason"], rejects),
    )


def _cards(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    share = summary["classes"]["cat"]["photographs"] / summary["photographs"]
    cards = [
        ("photographs", f"{summary['photographs']:,}"),
        ("megabytes", f"{summary['bytes'] / 1e6:,.0f}"),
        ("cats", f"{share:.1%}"),
        ("set aside", f"{summary['rejected']:,}"),
    ]
    if summary["drift"]:
        return [*cards, ("newcomers", f"{summary['drift']['newcomers']:,}")]
    return [*cards, ("px, median size", f"{summary['medianWidth']} x {summary['medianHeight']}")]


def _splits(splits: Mapping[str, Mapping[str, int]]) -> str:
    total = sum(sum(content.values()) for content in splits.values())
    rows = "".join(
        f"<tr><th>{split}<td>{(size := sum(content.values())):,}<td>{size / total:.1%}"
        + "".join(f"<td>{count:,} ({count / max(size, 1):.1%})" for count in content.values())
        for split, content in splits.items()
    )
    head = "".join(f"<th>{escape(label)}s" for label in next(iter(splits.values())))
    return f"<table><tr><th>Split<th>Photographs<th>Share{head}{rows}</table>"


def _alike(summary: Mapping[str, Any]) -> str:
    counts = summary["rejectedByReason"]
    told = [(f"{counts.get(reason, 0):,}", text) for reason, text in ALIKE.items()]
    told.append((f"{summary['groups']['photographs']:,}", f"alike, in {summary['groups']['count']:,} groups"))
    return "<ul>" + "".join(f"<li><b>{count}</b> {text}" for count, text in told) + "</ul>"


def _drift(drift: Mapping[str, Any] | None) -> str:
    if drift is None:
        return "<p>Nothing to compare with: this is the first version.</p>"
    rows = "".join(
        f"<tr{' class=shifted' if measure['shifted'] else ''}><th>{escape(name)}<td>{measure['before']:,.4g}"
        f"<td>{measure['now']:,.4g}<td>{measure['ks']:.3f}<td>{measure['meanDifference']:+.2f}"
        f"<td>{'shifted' if measure['shifted'] else 'as before'}"
        for name, measure in drift["measures"].items()
    )
    cats = drift["cats"]
    return (
        f"<p>Against <code>{escape(drift['against'])}</code>: <b>{drift['newcomers']:,}</b> newcomers, "
        f"<b>{drift['left']:,}</b> no longer there, cats {cats['before']:.1%} before and {cats['now']:.1%} now.</p>"
        f"<table><tr><th>Measure<th>Median before<th>Median now<th>KS distance<th>Mean difference, d<th>{rows}</table>"
        "<p class=note>Shifted: a Kolmogorov-Smirnov distance above 0.05 and above chance at the level of 1 %. "
        "d: difference of the means in standard deviations (Cohen); 0.2 is small, 0.8 large. "
        "Light and colour are of the train split.</p>"
    )


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
summary{{cursor:pointer;margin-bottom:.5rem}}.note{{color:#4b5563;font-size:.9rem}}
.shifted td:last-child{{color:#b45309;font-weight:600}}li b{{font-size:1.1rem}}</style>
<h1>Cats and dogs: the data</h1><p class="lead">Data version <code>{version}</code>{before}</p>
<div class="cards">{cards}</div>
<h2>Samples of the train split</h2>{samples}
<h2>Counts, sizes, light</h2><div class="plots">{plots}</div>
<div class="plots"><section><h2>Splits</h2>{splits}</section>
<section><h2>The classes beside each other</h2>{classes}</section></div>
<h2>Copies and look-alikes</h2>{pairs}
<h2>Drift</h2>{drift}
<h2>Set aside</h2>{rejects}</html>
"""
