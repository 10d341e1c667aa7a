"""The drawn set is a task, not a label: the real pipeline learns it, and learns nothing from shuffled labels."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catsdogs import key
from catsdogs.pipeline.workspace import write_parameters
from demo.drawings import draw

DRAWINGS = 400
EPOCHS = 8
WORKLOADS = Path(key.__file__).parents[1]


def stage(workspace: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "catsdogs.pipeline", name],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(WORKLOADS), "CATSDOGS_RAW": str(workspace / "drawn")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def accuracy(workspace: Path) -> float:
    stage(workspace, "train")
    stage(workspace, "evaluate")
    found = json.loads((workspace / "model/evaluation/metrics.json").read_text())
    return float(found["testAccuracy"])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("prepared")
    write_parameters(key.checked_parameters({"epochs": EPOCHS, "batchSize": 16}), workspace / "params.yaml")
    draw(workspace / "drawn", DRAWINGS)
    for name in ("raw", "ingest", "preprocess"):
        stage(workspace, name)
    return workspace


def test_every_drawing_is_accepted(prepared: Path) -> None:
    manifest = json.loads((prepared / "data/ingested/manifest.json").read_text())

    assert (len(manifest["photos"]), manifest["rejected"]) == (DRAWINGS, [])


def test_shape_can_be_learned(prepared: Path, tmp_path: Path) -> None:
    workspace = shutil.copytree(prepared, tmp_path / "learn")

    assert accuracy(workspace) >= 0.85


def test_shuffled_labels_teach_nothing(prepared: Path, tmp_path: Path) -> None:
    workspace = shutil.copytree(prepared, tmp_path / "shuffled")
    for split in ("train", "val"):
        file = workspace / f"data/processed/{split}-labels.npy"
        np.save(file, unrelated(np.load(file)))

    # Chance, give or take three standard errors of about 60 test drawings (0.19) and the machine's arithmetic.
    assert 0.3 <= accuracy(workspace) <= 0.7


def unrelated(labels: np.ndarray) -> np.ndarray:
    """Labels of which half of each class are flipped, so that they say nothing about the class."""
    flipped = labels.copy()
    for label in (0, 1):
        rows = np.random.default_rng(label).permutation(np.flatnonzero(labels == label))
        flipped[rows[: len(rows) // 2]] = 1 - label
    return flipped
