"""A small workspace of drawings, ingested and preprocessed once, copied for each test. It must not use a network."""

from __future__ import annotations

import io
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from catsdogs import key
from catsdogs.pipeline import ingest, preprocess, raw
from catsdogs.pipeline.workspace import write_parameters
from demo.drawings import draw

DRAWINGS = 120
PARAMETERS = {"imageSize": 32, "epochs": 4, "batchSize": 16}


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No bucket, and what a stage sets for its own process put back."""
    for name in ("CATSDOGS_BUCKET", "CATSDOGS_VERSION", "CATSDOGS_RAW"):
        monkeypatch.delenv(name, raising=False)
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)  # arrays this small only wait for each other's threads
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with data/raw, data/ingested and data/processed of 120 drawings."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("CATSDOGS_BUCKET", "CATSDOGS_RAW"):
            patch.delenv(name, raising=False)
        draw(raw.DEFAULT_FOLDER, DRAWINGS)
        write_parameters(key.checked_parameters(PARAMETERS))
        raw.write_manifest(raw.list_photos())
        ingest.run()
        preprocess.run()
    return folder


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `prepared` that a test may change, as the current folder."""
    folder = shutil.copytree(prepared, tmp_path / "workspace")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with parameters and nothing else, as the current folder."""
    monkeypatch.chdir(tmp_path)
    write_parameters(key.checked_parameters(PARAMETERS))
    return tmp_path


def picture(width: int = 64, height: int = 48, kind: str = "JPEG", mode: str = "RGB", shade: int = 90) -> bytes:
    """The bytes of a picture that is not all of one colour."""
    image = Image.linear_gradient("L").resize((width, height)).point(lambda value: (value + shade) % 256)
    file = io.BytesIO()
    image.convert(mode).save(file, kind)
    return file.getvalue()
