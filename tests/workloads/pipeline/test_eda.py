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
from catsdogs.pipeline import drift, eda, ingest, preprocess, previous, raw
from catsdogs.pipeline.workspace import EDA, INGESTED, PROCESSED, SPLITS, read_json, write_json
from tests.workloads.pipeline.conftest import encoded, scene

MEASURES = ["width, px", "height, px", "width / height", "kilobytes"]
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
    spreads = summary.pop("spreads")
    assert summary == {
        "dataVersion": manifest["dataVersion"],
        "rawHash": manifest["rawHash"],
        "inheritedFrom": None,
        "drift": None,
        "groups": {"count": len(manifest["groups"]), "photographs": sum(map(len, manifest["groups"]))},
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
    assert spreads["width, px"] == drift.spread([photo["width"] for photo in photos])
    assert set(spreads) == {*MEASURES, "brightness", "red", "green", "blue"}
    assert spreads["brightness"]["mean"] == pytest.approx(pixels.mean(), abs=1e-4)
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
    manifest = read_json(INGESTED / "manifest.json")
    write_json(INGESTED / "manifest.json", {**manifest, "groups": []})
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


def test_copies_look_alikes_and_drift_are_on_the_page(workspace: Path) -> None:
    eda.run()
    before = read_json(EDA / "summary.json")
    folder = raw.DEFAULT_FOLDER / "Cat"
    train = [photo["name"] for photo in read_json(INGESTED / "manifest.json")["photos"] if photo["split"] == "train"]
    with Image.open(raw.DEFAULT_FOLDER / train[1]) as opened:
        first = opened.convert("RGB")
    (folder / "copy.png").write_bytes(encoded(first.resize((120, 120)), "PNG"))
    (folder / "mirrored.png").write_bytes(encoded(first.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"))
    (folder / "0.jpg").unlink()
    for seed in range(40):
        (folder / f"wide-{seed}.png").write_bytes(encoded(scene(seed, 400, 80), "PNG"))
    previous.write(raw.write_manifest(raw.list_photos()))
    for stage in (ingest, preprocess, eda):
        stage.run()
    summary = read_json(EDA / "summary.json")
    page = (EDA / "report.html").read_text(encoding="utf-8")

    assert summary["inheritedFrom"] == before["dataVersion"]
    assert summary["rejectedByReason"] == {"NearDuplicate": 1}
    moved = {name: measure["shifted"] for name, measure in summary["drift"].pop("measures").items()}
    assert {name: moved[name] for name in ("width, px", "width / height")} == {
        "width, px": True,
        "width / height": True,
    }
    assert summary["drift"] == {
        "against": before["dataVersion"],
        "newcomers": 41,
        "left": 1,
        "cats": {"before": 0.5, "now": 0.625},
    }
    assert sorted(path.name for path in EDA.glob("*.png")) == sorted(
        [*PICTURES, "copies.png", "drift.png", "look-alikes.png"]
    )
    assert "<b>1</b> the same picture again, set aside" in page
    assert "<b>41</b> newcomers, <b>1</b> no longer there, cats 50.0% before and 62.5% now." in page


def test_pictures_of_val_and_test_are_not_on_the_page(workspace: Path) -> None:
    manifest = read_json(INGESTED / "manifest.json")
    names = read_json(PROCESSED / "manifest.json")["splits"]
    seen, hidden = names["train"]["names"], names["test"]["names"]
    pairs = [{"names": [hidden[0], "x"]}, {"names": [seen[0], "y"]}]
    groups = [hidden[:2], seen[:2]]
    write_json(INGESTED / "manifest.json", {**manifest, "lookalikes": pairs, "groups": groups})
    np.save(INGESTED / "lookalikes.npy", np.stack([np.full((2, 3, 32, 32), shade, np.uint8) for shade in (1, 200)]))
    eda.run()

    with Image.open(EDA / "copies.png") as copies, Image.open(EDA / "look-alikes.png") as alike:
        assert copies.size == alike.size == (176, 88)
        assert copies.getcolors() == [(176 * 88, (200, 200, 200))]
