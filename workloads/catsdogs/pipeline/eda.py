"""EDA: what the photographs are like, as summary.json, PNGs and one page that needs no other file.
It must not change the data, and shows pictures of the train split alone, so that nobody tunes by the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catsdogs import key
from catsdogs.pipeline import drift, eda_page
from catsdogs.pipeline import eda_plots as plots
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import EDA, INGESTED, PREVIOUS, PROCESSED, SPLITS, read_json, write_json

SAMPLES = 24  # pictures shown of each class
SAMPLED = 2000  # train pictures of each class that are measured: enough for three digits
CHUNK = 64  # pictures in memory at a time; 50 MB as floats at 256 px

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pixels:
    """What was measured in train pictures of one class, on the scale 0..1.

    `means` and `squares`, (N, 3): mean of each channel (RGB) and of its square. `pictures`: uint8 (S, S, 3).
    """

    means: Array
    squares: Array
    pictures: list[Array]


def run() -> None:
    """The stage: data/previous.json, data/ingested and data/processed to data/eda."""
    progress = Progress("eda")
    EDA.mkdir(parents=True, exist_ok=True)
    ingested, processed = read_json(INGESTED / "manifest.json"), read_json(PROCESSED / "manifest.json")
    previous = read_json(PREVIOUS)
    rejects = [*ingested["rejected"], *processed["rejected"]]
    undecodable = {reject["name"] for reject in processed["rejected"]}
    photos = [photo for photo in ingested["photos"] if photo["name"] not in undecodable]
    pixels = look()
    progress.report(1, 3, at_once=True)
    summary = summarise(photos, rejects, pixels)
    summary |= {name: ingested[name] for name in ("dataVersion", "rawHash", "inheritedFrom")}
    summary["groups"] = {"count": len(ingested["groups"]), "photographs": sum(map(len, ingested["groups"]))}
    newcomers = sum(photo["sha256"] not in previous["photos"] for photo in photos)
    summary["drift"] = drift.compare(previous["summary"], summary, newcomers)
    captions = draw(summary, photos, pixels)
    captions |= draw_pairs(ingested, processed) | draw_drift(previous["summary"], summary)
    progress.report(2, 3, at_once=True)
    (EDA / "report.html").write_text(eda_page.page(summary, rejects, captions), encoding="utf-8")
    write_json(EDA / "summary.json", summary)
    progress.report(3, 3)


def look() -> dict[str, Pixels]:
    """Measure train pictures of each class, by label. The arrays are read in pieces, never whole."""
    stored = np.load(PROCESSED / "train.npy", mmap_mode="r")
    labels = np.load(PROCESSED / "train-labels.npy")
    # The rows are sorted by name, all cats before all dogs: choose by class, never the first of all.
    rows = {label: np.flatnonzero(labels == index) for index, label in enumerate(key.CLASSES)}
    return {label: _look(stored, evenly(chosen, SAMPLED), evenly(chosen, SAMPLES)) for label, chosen in rows.items()}


def _look(stored: Array, measured: Array, shown: Array) -> Pixels:
    means, squares = [np.empty((0, 3))], [np.empty((0, 3))]
    for begin in range(0, len(measured), CHUNK):
        part = stored[measured[begin : begin + CHUNK]].astype(np.float32) / 255
        means.append(part.mean(axis=(2, 3), dtype=np.float64))
        squares.append((part * part).mean(axis=(2, 3), dtype=np.float64))
    return Pixels(np.concatenate(means), np.concatenate(squares), [_upright(stored[row]) for row in shown])


def evenly(rows: Array, count: int) -> Array:
    """`count` of the rows at equal distances, or all when there are fewer."""
    if len(rows) <= count:
        return rows
    chosen: Array = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return chosen


def summarise(
    photos: Sequence[dict[str, Any]], rejects: Sequence[dict[str, str]], pixels: dict[str, Pixels]
) -> dict[str, Any]:
    """Counts by split, class and reason, sizes in pixels, and light and colour of the train split (0..1, RGB)."""
    of_class = {label: [photo for photo in photos if photo["label"] == label] for label in key.CLASSES}
    return {
        "photographs": len(photos),
        "rejected": len(rejects),
        "rejectedByReason": dict(sorted(Counter(reject["reason"] for reject in rejects).items())),
        "splits": {
            split: {label: sum(photo["split"] == split for photo in of_class[label]) for label in key.CLASSES}
            for split in SPLITS
        },
        **sizes(photos),
        **colours([pixels[label] for label in key.CLASSES]),
        "spreads": spreads(photos, pixels),
        "classes": {
            label: {"photographs": len(chosen), **sizes(chosen), **colours([pixels[label]])}
            for label, chosen in of_class.items()
        },
    }


def sizes(photos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bytes in all, and the medians of width, height (pixels) and aspect (width over height)."""
    widths, heights = (np.array([photo[side] for photo in photos]) for side in ("width", "height"))
    return {
        "bytes": sum(photo["bytes"] for photo in photos),
        "medianWidth": int(np.median(widths)),
        "medianHeight": int(np.median(heights)),
        "medianAspect": round(float(np.median(widths / heights)), 3),
    }


def colours(measured: Sequence[Pixels]) -> dict[str, Any]:
    """Mean and deviation of each channel over all pixels, and the mean brightness, all 0..1."""
    means = np.concatenate([pixels.means for pixels in measured])
    squares = np.concatenate([pixels.squares for pixels in measured])
    channels = means.mean(axis=0)
    deviations = np.sqrt(np.maximum(squares.mean(axis=0) - channels**2, 0))
    return {
        "channelMeans": [round(float(value), 4) for value in channels],
        "channelDeviations": [round(float(value), 4) for value in deviations],
        "brightness": round(float(channels.mean()), 4),
    }


def spreads(photos: Sequence[dict[str, Any]], pixels: dict[str, Pixels]) -> dict[str, Any]:
    """How each measure is spread over the photographs, for the next version to compare itself with."""
    means = np.concatenate([content.means for content in pixels.values()])
    measures = {
        "width, px": [photo["width"] for photo in photos],
        "height, px": [photo["height"] for photo in photos],
        "width / height": [photo["width"] / photo["height"] for photo in photos],
        "kilobytes": [photo["bytes"] / 1000 for photo in photos],
        "brightness": means.mean(axis=1),
        **dict(zip(("red", "green", "blue"), means.T, strict=True)),
    }
    return {name: drift.spread(values) for name, values in measures.items()}


def draw(summary: dict[str, Any], photos: Sequence[dict[str, Any]], pixels: dict[str, Pixels]) -> dict[str, str]:
    """Write the PNGs; returns file name to caption in the order of the page."""
    sides = {
        label: [(photo["width"], photo["height"]) for photo in photos if photo["label"] == label]
        for label in key.CLASSES
    }
    aspects = {label: [width / height for width, height in pairs] for label, pairs in sides.items()}
    light = {label: content.means.mean(axis=1).tolist() for label, content in pixels.items()}
    plots.counts(EDA / "counts.png", summary["splits"])
    plots.scatter(EDA / "sizes.png", sides)
    plots.histogram(EDA / "aspect.png", aspects, "width / height")
    plots.histogram(EDA / "brightness.png", light, "mean brightness, 0 to 1")
    for label, content in pixels.items():
        plots.contact_sheet(EDA / f"samples-{label}.png", content.pictures)
    return {
        "counts.png": "Photographs per split and class",
        "sizes.png": "Width and height as they came",
        "aspect.png": "Aspect: the network sees a square, so what is far from 1 is squeezed",
        "brightness.png": "Brightness in the train split: outlines that are apart would be a shortcut",
        **{f"samples-{label}.png": f"{label.capitalize()}s as the network sees them" for label in key.CLASSES},
    }


def draw_pairs(ingested: dict[str, Any], processed: dict[str, Any]) -> dict[str, str]:
    """The sheets of pairs, where there are any: copies that were set aside, and look-alikes of the train split."""
    train = {name: row for row, name in enumerate(processed["splits"]["train"]["names"])}
    hidden = {name for split in ("val", "test") for name in processed["splits"][split]["names"]}
    kept = np.load(INGESTED / "lookalikes.npy", mmap_mode="r")
    copies = [
        (_upright(pair[0]), _upright(pair[1]))
        for pair, told in zip(kept, ingested["lookalikes"], strict=True)
        if hidden.isdisjoint(told["names"])
    ]
    stored = np.load(PROCESSED / "train.npy", mmap_mode="r")
    alike = [
        (_upright(stored[train[group[0]]]), _upright(stored[train[group[1]]]))
        for group in ingested["groups"]
        if train.keys() >= set(group[:2])
    ]
    captions = {}
    for name, pairs, caption in (
        (
            "copies.png",
            copies,
            "The same picture twice: one of the two was set aside, or both where the classes differ",
        ),
        ("look-alikes.png", alike, "Alike, maybe by chance: both stay, and share the train split"),
    ):
        if pairs:
            plots.pair_sheet(EDA / name, pairs[:SAMPLES])
            captions[name] = caption
    return captions


def _upright(square: Array) -> Array:
    """Channels last, as pictures are drawn."""
    return np.moveaxis(square, 0, -1)


def draw_drift(previous: dict[str, Any] | None, summary: dict[str, Any]) -> dict[str, str]:
    """The plot of what is spread how, before and now, where there is a version before."""
    if previous is None or summary["drift"] is None:
        return {}
    both = {
        name: (previous["spreads"][name]["quantiles"], summary["spreads"][name]["quantiles"])
        for name in summary["drift"]["measures"]
    }
    plots.drift(EDA / "drift.png", both)
    return {"drift.png": "Share of photographs below each value: where the lines part, the data has moved"}
