"""A stage on a full disk: one error that says so, nothing lost, and it completes once there is room.

The disk is a small tmpfs, which root alone may mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from catsdogs.errors import DISK_HINT
from catsdogs.pipeline import __main__ as pipeline
from catsdogs.pipeline.workspace import INGESTED, PROCESSED, TRAINING

ROOM = 48 * 1024


@pytest.fixture
def disk(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace on a disk of 64 MiB, as the current folder; the raw photographs lie elsewhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, f"this test mounts a tmpfs, which needs root: {mounted.stderr}"
    try:
        shutil.copytree(prepared, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("raw"))
        monkeypatch.chdir(folder)
        monkeypatch.setenv("CATSDOGS_RAW", str(prepared / "data/raw"))
        yield folder
    finally:
        monkeypatch.chdir(tmp_path)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all of the disk but ROOM."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - ROOM)
    return filler


@pytest.mark.parametrize(
    ("stage", "made"),
    [("ingest", INGESTED / "manifest.json"), ("preprocess", PROCESSED / "manifest.json"), ("train", TRAINING)],
)
def test_a_full_disk_is_said_and_a_retry_completes(
    disk: Path, stage: str, made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if stage != "train":
        shutil.rmtree(disk / made.parent)
    filler = fill(disk)

    assert pipeline.main([stage]) == 74

    said = capfd.readouterr().err
    assert f"{stage}: the disk is full: no space left" in said
    assert f"{stage}: hint: {DISK_HINT}\n" in said
    assert "Traceback" not in said
    assert not made.exists()

    filler.unlink()
    assert pipeline.main([stage]) == 0
    assert made.exists()
