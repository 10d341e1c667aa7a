"""DVC in a workspace: made without git, asked for one stage, pushed to the bucket; always a process of its own.
It must not know what a stage does, and must leave nothing outside the workspace and its caches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline.workspace import PARAMS, write_parameters

APP = Path(__file__).parents[3]  # holds dvc.yaml, params.yaml and workloads/
CONFIG = """[core]
    no_scm = true
    remote = bucket
    analytics = false
    check_update = false
    autostage = false
[cache]
    type = "reflink,hardlink,symlink,copy"
"""
REMOTE = """['remote "bucket"']
    url = gs://{bucket}/{prefix}
"""


def create(folder: Path, parameters: Mapping[str, Any], bucket: str = "") -> None:
    """Make `folder` a workspace: dvc.yaml, params.yaml, the code the stages depend on, and DVC's settings.

    Again on the same folder it renews these and keeps data, lock and cache.
    """
    source, target = APP / "workloads" / "catsdogs", folder / "workloads" / "catsdogs"
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    if APP.resolve() != folder.resolve():
        shutil.copyfile(APP / "dvc.yaml", folder / "dvc.yaml")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "server"))
        write_parameters(parameters, folder / PARAMS)
    remote = REMOTE.format(bucket=bucket, prefix=key.DVC_PREFIX) if bucket else ""
    (folder / ".dvc" / "config").write_text(CONFIG + remote, encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    """The process's environment with DVC's own folders inside the workspace, and this Python first on PATH."""
    state = folder / ".dvc"
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(state / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(state / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(state / "system"),
    }


def reproduce(
    folder: Path, stages: list[str], *, pull: bool, started: Callable[[subprocess.Popen[bytes]], None]
) -> int:
    """`dvc repro` of exactly these stages; `started` is given the process. Returns DVC's exit code.

    With `pull`, what another run has computed before comes from the bucket instead of being computed.
    """
    options = ["--single-item", *(["--pull"] if pull else [])]
    process = subprocess.Popen([*_dvc(), "repro", *options, *stages], cwd=folder, env=environment(folder))
    started(process)
    return process.wait()


def push(folder: Path) -> None:
    """Send cache and run cache to the bucket. Raises StageError 75 when that fails."""
    done = subprocess.run(
        [*_dvc(), "push", "--run-cache", "--jobs", "8", "--quiet"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr[-300:]]
        raise StageError(
            Exit.UNAVAILABLE,
            f"the data cache could not be sent to the bucket: {lines[0].removeprefix('ERROR: ')[:300]}",
            "run again; if it stays, look at the object store and the rights to its dvc/ folder",
        )


def _dvc() -> list[str]:
    return [sys.executable, "-m", "dvc"]
