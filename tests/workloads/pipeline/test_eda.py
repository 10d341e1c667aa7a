"""The page about the data: right figures, both classes shown however many there are, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catsdogs import key
from catsdogs.pipeline import eda
from catsdogs.pipeline.workspace import EDA, INGESTED, PROCESSED, SPLITS, read_json, write_json

PICTURES = ["aspect.png", "brightness.png", "counts.png", "samples-cat.png", "samples-dog.png", "sizes.png"]


def test_summary_says_what_is_in_the_arrays(workspace: Path) -> None:
    rejects = [{"name": "Cat/x.jpg", "reason": "TooSmall", "detail": "1 x 1 px"}]
    manifest = read_json(INGESTED / "manifest.json")
    write_json(INGESTED / "manifest.json", {**manifest, "rejected": rejects})
    processed = read_json(PROCESSED / "manifest.json")
    lost = {"name": processed["splits"]["val"]["names"][0], "reason": "Corrupt", "detail": "broken"}
    write_json(PROCESSED / "manifest.json", {**processed, "rejected": [lost]})
    eda.run()
    summary = read_json(EDA / "summary.json")
    photos = [photo for photo in manifest["photos"] if photo["name"] != lost["name"]]
    pixels = np.load(PROCESSED / "train.npy") / 255

    def counted(split: str, label: str) -> int:
        return len([photo for photo in photos if (photo["split"], photo["label"]) == (split, label)])

    classes = summary.pop("classes")
    assert summary == {
        "dataVersion": manifest["dataVersion"],
        "photographs": len(photos),
        "rejected": 2,
        "rejectedByReason": {"Corrupt": 1, "TooSmall": 1},
        "splits": {split: {label: counted(split, label) for label in key.CLASSES} for split in SPLITS},
        "bytes": sum(photo["bytes"] for photo in photos),
        "medianWidth": int(np.median([photo["width"] for photo in photos])),
        "medianHeight": int(np.median([photo["height"] for photo in photos])),
        "medianAspect": round(float(np.median([photo["width"] / photo["height"] for photo in photos])), 3),
        "channelMeans": pytest.approx(pixels.mean(axis=(0, 2, 3)), abs=1e-4),
        "channelDeviations": pytest.approx(pixels.std(axis=(0, 2, 3)), abs=1e-4),
        "brightness": pytest.approx(pixels.mean(), abs=1e-4),
    }
    dogs = pixels[np.load(PROCESSED / "train-labels.npy") == 1]
    assert classes["dog"]["channelMeans"] == pytest.approx(dogs.mean(axis=(0, 2, 3)), abs=1e-4)
    assert classes["cat"]["photographs"] + classes["dog"]["photographs"] == len(photos)


def test_many_cats_before_the_dogs_do_not_hide_the_dogs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eda, "SAMPLED", 5)
    monkeypatch.setattr(eda, "SAMPLES", 3)
    monkeypatch.setattr(eda, "CHUNK", 2)
    pixels = np.load(PROCESSED / "train.npy")
    labels = np.load(PROCESSED / "train-labels.npy")
    found = eda.look()

    for index, label in enumerate(key.CLASSES):
        rows = np.flatnonzero(labels == index)
        shown = [rows[0], rows[round((len(rows) - 1) / 2)], rows[-1]]
        assert found[label].means.shape == (5, 3)
        assert found[label].means[-1] == pytest.approx(pixels[rows[-1]].mean(axis=(1, 2)) / 255, abs=1e-6)
        assert np.array_equal(found[label].pictures, pixels[shown].transpose(0, 2, 3, 1))


def test_the_page_holds_its_pictures_and_loads_nothing(workspace: Path) -> None:
    eda.run()
    page = (EDA / "report.html").read_text(encoding="utf-8")
    inside = [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]

    assert sorted(path.name for path in EDA.iterdir()) == sorted([*PICTURES, "report.html", "summary.json"])
    assert sorted(inside) == sorted((EDA / name).read_bytes() for name in PICTURES)
    assert all(min(Image.open(io.BytesIO(data)).size) > 100 for data in inside)
    assert re.findall(r"(?:https?:)?//[a-z]|<script|<link|@import|url\(", re.sub(r'"data:[^"]+"', "", page)) == []
    assert "None: every file is a photograph that can be used." in page


def test_rejects_are_named_and_never_become_markup(workspace: Path) -> None:
    manifest = read_json(INGESTED / "manifest.json")
    manifest["rejected"] = [
        {"name": f"Cat/<b>{number}.jpg", "reason": "Corrupt", "detail": "a & b"} for number in range(201)
    ]
    write_json(INGESTED / "manifest.json", manifest)
    eda.run()
    page = (EDA / "report.html").read_text(encoding="utf-8")

    assert page.count("<tr><td>Cat/&lt;b&gt;") == 200
    assert "<b>201</b> Corrupt" in page
    assert "and 1 more, all in the manifests" in page
    assert "Cat/<b>" not in page


def test_the_same_data_give_the_same_files(workspace: Path) -> None:
    eda.run()
    first = {path.name: path.read_bytes() for path in EDA.iterdir()}
    eda.run()

    assert {path.name: path.read_bytes() for path in EDA.iterdir()} == first
