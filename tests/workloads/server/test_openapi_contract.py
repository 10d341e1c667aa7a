"""The server holds to its OpenAPI document: Schemathesis makes requests from it, good and bad, and checks answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.workloads.server.samples import ModelFile
from tests.workloads.server.test_process import Running, start, stop

ROOT = Path(__file__).parents[3]
KEY = "a-key-of-this-test"
CONFIG = f"""
hooks = "{Path(__file__).with_name("schemathesis_hooks.py")}"
continue-on-failure = true

[parameters]
"path.name" = "cats-dogs"
"path.version" = "v1"

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "405", "413", "415"]

# That a shape fits its data can't be said in JSON Schema.
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""


def schemathesis(running: Running, folder: Path, *options: str) -> str:
    """What Schemathesis says in the end; fails when it finds anything."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    address = f"http://127.0.0.1:{running.port}/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", address, "--no-color", "-H", f"X-API-Key: {KEY}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "workloads")])}
    done = subprocess.run([*command, *options], cwd=folder, env=environment, capture_output=True, check=False)
    text = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    said = "\n".join(line[:200] for line in text.splitlines() if "curl" not in line)
    assert done.returncode == 0, said
    return said


def start_with_key(model_file: ModelFile, folder: Path) -> Running:
    (folder / "keys").write_text(KEY)
    running = start(model_file, API_KEYS_FILE=str(folder / "keys"))
    running.wait_for("healthy")
    return running


def test_schemathesis_finds_nothing(model_file: ModelFile, tmp_path: Path) -> None:
    """Two requests an operation and those at the edges of the document; `make reliability` sends many more."""
    running = start_with_key(model_file, tmp_path)
    try:
        said = schemathesis(running, tmp_path, "--phases=coverage,fuzzing", "--max-examples=2", "--seed=1")
    finally:
        log = stop(running)
    assert "Tested: 17" in said
    assert '"severity": "ERROR"' not in log
