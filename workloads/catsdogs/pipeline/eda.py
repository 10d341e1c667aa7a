"""EDA: what the photographs are like, as summary.json, PNGs and one page that needs no other file.
It must not change the data, nor show test photographs in a way that training could learn from."""

from __future__ import annotations

import base64
import html
from collections import Counter
from typing import Any

import numpy as np

from catsdogs import key
from catsdogs.pipeline import plots
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import EDA, INGESTED, PROCESSED, SPLITS, read_json, write_json

SAMPLES = 24
SAMPLED = 4000  # rows looked at for channel means: enough for three digits, flat in memory


def run() -> None:
    """The stage: data/ingested/manifest.json and data/processed to data/eda."""
    progress = Progress("eda")
    EDA.mkdir(parents=True, exist_ok=True)
    manifest = read_json(INGESTED / "manifest.json")
    pixels = np.load(PROCESSED / "train.npy", mmap_mode="r")[:SAMPLED]
    labels = np.load(PROCESSED / "train-labels.npy")[:SAMPLED]
    summary = summarise(manifest, pixels)
    progress.report(1, 3, at_once=True)
    pictures = draw(summary, manifest, pixels, labels)
    progress.report(2, 3, at_once=True)
    (EDA / "report.html").write_text(page(summary, manifest, pictures), encoding="utf-8")
    write_json(EDA / "summary.json", summary)
    progress.report(3, 3)


def summarise(manifest: dict[str, Any], pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Counts, sizes in pixels, and the channel means and deviations (0..1, RGB) of the train split."""
    photos = manifest["photos"]
    splits = {
        split: {label: sum(p["split"] == split and p["label"] == label for p in photos) for label in key.CLASSES}
        for split in SPLITS
    }
    widths = np.array([photo["width"] for photo in photos])
    heights = np.array([photo["height"] for photo in photos])
    return {
        "dataVersion": manifest["dataVersion"],
        "photographs": len(photos),
        "rejected": len(manifest["rejected"]),
        "rejectedByReason": dict(Counter(reject["reason"] for reject in manifest["rejected"])),
        "splits": splits,
        "bytes": int(sum(photo["bytes"] for photo in photos)),
        "medianWidth": int(np.median(widths)),
        "medianHeight": int(np.median(heights)),
        "medianAspect": round(float(np.median(widths / heights)), 3),
        "channelMeans": [round(float(value) / 255, 4) for value in pixels.mean(axis=(0, 2, 3))],
        "channelDeviations": [round(float(value) / 255, 4) for value in pixels.std(axis=(0, 2, 3))],
    }


def draw(
    summary: dict[str, Any],
    manifest: dict[str, Any],
    pixels: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
) -> dict[str, str]:
    """Write the PNGs; returns file name to caption in the order of the page."""
    photos = manifest["photos"]
    by_label = {label: [p for p in photos if p["label"] == label] for label in key.CLASSES}
    brightness = pixels.mean(axis=(1, 2, 3)) / 255
    plots.counts(EDA / "counts.png", summary["splits"])
    sizes = {label: [(p["width"], p["height"]) for p in chosen] for label, chosen in by_label.items()}
    plots.scatter(EDA / "sizes.png", sizes)
    aspects = {label: [p["width"] / p["height"] for p in chosen] for label, chosen in by_label.items()}
    plots.histogram(EDA / "aspect.png", aspects, "width / height")
    light = {label: brightness[labels == index].tolist() for index, label in enumerate(key.CLASSES)}
    plots.histogram(EDA / "brightness.png", light, "mean brightness, 0 to 1")
    captions = {
        "counts.png": "Photographs per split and class",
        "sizes.png": "Width and height as they came",
        "aspect.png": "Aspect: the network sees a square, so what is far from 1 is squeezed",
        "brightness.png": "Brightness of the train split; two shifted outlines would be a shortcut",
    }
    for index, label in enumerate(key.CLASSES):
        rows = np.flatnonzero(labels == index)[:SAMPLES]
        plots.grid(EDA / f"samples-{label}.png", [pixels[row].transpose(1, 2, 0) for row in rows], [""] * len(rows))
        captions[f"samples-{label}.png"] = f"{label.capitalize()}s as the network sees them"
    return captions


def page(summary: dict[str, Any], manifest: dict[str, Any], pictures: dict[str, str]) -> str:
    """The report: figures, PNGs inside, and the first rejects with their reason."""
    facts = {
        "Photographs": f"{summary['photographs']:,} ({summary['bytes'] / 1e6:,.0f} MB)",
        "Set aside": f"{summary['rejected']:,}",
        "Median size": f"{summary['medianWidth']} x {summary['medianHeight']} px",
        "Channel means (RGB)": ", ".join(str(value) for value in summary["channelMeans"]),
        "Data version": summary["dataVersion"],
    }
    cards = "".join(f"<div><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for k, v in facts.items())
    figures = "".join(
        f'<figure><img alt="{html.escape(text)}" src="data:image/png;base64,{_base64(name)}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for name, text in pictures.items()
    )
    rows = "".join(
        f"<tr><td>{html.escape(r['name'])}<td>{html.escape(r['reason'])}<td>{html.escape(r['detail'])}"
        for r in manifest["rejected"][:200]
    )
    table = f"<table><tr><th>Name<th>Reason<th>Detail{rows}</table>" if rows else "<p>None.</p>"
    return PAGE.format(cards=cards, figures=figures, table=table, count=summary["rejected"])


def _base64(name: str) -> str:
    return base64.b64encode((EDA / name).read_bytes()).decode()


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Cats and dogs: the data</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1080px;padding:0 1rem;color:#111827}}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:.75rem}}
.cards div{{border:1px solid #e5e7eb;border-radius:8px;padding:.75rem}}
.cards b{{display:block;font-size:1.1rem}}.cards span,figcaption{{color:#6b7280;font-size:.875rem}}
.figures{{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:1.5rem;align-items:end}}
figure{{margin:0}}img{{max-width:100%}}table{{border-collapse:collapse;font-size:.875rem}}
td,th{{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #e5e7eb}}</style>
<h1>Cats and dogs: the data</h1><div class="cards">{cards}</div>
<h2>What it looks like</h2><div class="figures">{figures}</div>
<h2>Set aside: {count}</h2>{table}</html>
"""
