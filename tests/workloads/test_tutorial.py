"""docs/tutorial.md can be followed: its commands run, in their order, in a copy of the checkout.

Fewer drawings and epochs than a reader takes; what needs a bucket is in tests/workloads/pod.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catsdogs import key
from catsdogs.pipeline.workspace import PARAMS, write_parameters

CHECKOUT = Path(__file__).parents[2]
# What the test does with less of. Each must occur, so that the tutorial can't change under it.
LESS = {
    'draw(Path("photos"), 400)': 'draw(Path("photos"), 120)',
    "--set batchSize=16": "--set batchSize=16 --set imageSize=32",
    "epochs=2": "epochs=1",
    "epochs=10": "epochs=2",
}
NOT_HERE = ("scripts/setup", ". .venv/bin/activate")


def commands() -> list[str]:
    """The lines behind "$ " of the tutorial's console blocks, but those of the last part, which needs a bucket."""
    text = (CHECKOUT / "docs/tutorial.md").read_text(encoding="utf-8").partition("\n## With a bucket")[0]
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks or would, without what building and running leaves."""
    folder = tmp_path_factory.mktemp("tutorial") / "cats-dogs"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, folder / name)
    programs = folder.parent / "bin"
    programs.mkdir()
    (programs / "catsdogs").write_text(f'#!/bin/sh\nexec {sys.executable} -m catsdogs "$@"\n')
    (programs / "catsdogs").chmod(0o755)
    return folder


def test_every_command_of_the_tutorial_works(checkout: Path) -> None:
    found = commands()
    write_parameters(key.checked_parameters({"epochs": 1, "imageSize": 32}), checkout / PARAMS)  # dvc repro's
    path = f"{checkout.parent / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    sources = ":".join(str(checkout / part) for part in ("operator", "workloads", ""))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": sources, "OMP_NUM_THREADS": "1"}
    printed: dict[str, str] = {}
    for command in found:
        if command.startswith(NOT_HERE):
            continue
        less = command
        for much, little in LESS.items():
            less = less.replace(much, little)
        done = subprocess.run(
            ["bash", "-c", less], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{less}\n{done.stdout}\n{done.stderr}"
        printed[command] = done.stdout

    assert all(any(much in command for command in found) for much in LESS)
    first, second, back = (text for command, text in printed.items() if command.startswith("catsdogs run"))
    assert reused(first) == []
    assert reused(second) == ["ingest", "preprocess", "eda"]
    assert reused(back) == ["ingest", "preprocess", "eda", "train", "evaluate"]
    sums = next(text for command, text in printed.items() if command.startswith("sha256sum"))
    assert len({line.split()[0] for line in sums.splitlines()}) == 1
    assert (checkout / "model/model.pt").is_file(), "dvc repro made it"
    assert (checkout / "run2/data/eda/report.html").is_file()


def reused(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines() if line.split()[1:2] == ["reused"]]
