"""docs/server.md says what is so: its commands are run, its settings, metrics and statuses compared with the code."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catsdogs.server.config import VARIABLES, Settings
from catsdogs.server.metrics import Metrics
from catsdogs.server.openapi import DOCUMENT
from tests.workloads.server.samples import ModelFile, picture
from tests.workloads.server.test_process import Running, serving

TEXT = (Path(__file__).parents[3] / "docs/server.md").read_text()
SHOWN = [
    tuple(example.split("\n", 1)) for block in re.findall(r"```console\n\$ (.*?)\n```", TEXT, re.DOTALL)
    for example in block.split("\n$ ")
]  # fmt: skip


@pytest.fixture(scope="module")
def server(model_file: ModelFile) -> Iterator[Running]:
    with serving(model_file, TRAINING_RUN="cats-dogs/demo") as running:
        yield running


def form(value: Any) -> Any:
    """What of JSON stays the same from model to model: names, types, and words that are no label."""
    if isinstance(value, dict):
        return {name: form(content) for name, content in value.items() if name not in ("lineage", "metrics")}
    if isinstance(value, list):
        return [form(content) for content in value[:1] if not isinstance(content, dict)] or [
            form(content) for content in value
        ]
    return value if isinstance(value, str) and " " in value else type(value).__name__.replace("int", "float")


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command[:70] for command, _ in SHOWN])
def test_each_command_prints_what_is_shown(server: Running, tmp_path: Path, command: str, shown: str) -> None:
    (tmp_path / "cat.jpg").write_bytes(picture(size=(640, 480)))
    (tmp_path / "dog.png").write_bytes(picture("PNG"))
    (tmp_path / "notes.txt").write_text("no picture")
    local = command.replace("http://HOST", f"http://127.0.0.1:{server.port}").replace("curl ", "curl -sS ")
    done = subprocess.run(["bash", "-c", local], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert form(json.loads(done.stdout)) == form(json.loads(shown))


def settings_table() -> str:
    """The table of settings as docs/server.md shows it."""
    rows = []
    for variable in VARIABLES:
        default = getattr(Settings, variable.field, "")
        text = f"`{default:.12g}`" if isinstance(default, int | float) else f"`{default}`" if default else ""
        text = "the number of cores" if variable.field == "workers" else text
        limits = f" ({variable.least:.12g} to {variable.most:.12g})" if variable.most else ""
        rows.append(f"| `{variable.name}` | {text} | {variable.meaning}{limits} |")
    return "\n".join(rows)


def test_every_setting_is_documented() -> None:
    assert settings_table() in TEXT


def test_every_metric_is_documented() -> None:
    metrics = Metrics()
    there = {family.name for family in metrics.registry.collect() if not family.name.startswith("process_")}
    counters = {family.name for family in metrics.registry.collect() if family.type == "counter"}
    there = {f"{name}_total" if name in counters else "model_info" if name == "model" else name for name in there}
    documented = set(re.findall(r"^\| `([a-z_]+)` \| (?:histogram|counter|gauge|info)", TEXT, re.MULTILINE))
    assert documented == there


def test_every_status_is_documented() -> None:
    statuses = {status for path in DOCUMENT["paths"].values() for body in path.values() for status in body["responses"]}
    rows = re.findall(r"^\| ([0-9, ]+) \|", TEXT, re.MULTILINE)
    assert {status for row in rows for status in row.split(", ")} == (statuses - {"200"}) | {"405"}


def test_pictures_of_the_documented_kinds_are_read(server: Running, tmp_path: Path) -> None:
    cmyk, deep = tmp_path / "cmyk.jpg", tmp_path / "deep.png"
    cmyk.write_bytes(picture("JPEG", "CMYK"))
    gray = Image.open(io.BytesIO(picture("PNG", "L"))).convert("I;16")
    gray.save(deep)
    for file in (cmyk, deep):
        command = ["curl", "-sSf", "-F", f"any=@{file}", f"http://127.0.0.1:{server.port}/predict"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
