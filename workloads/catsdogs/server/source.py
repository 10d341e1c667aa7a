"""Has a model file and the model.json beside it brought here, from Cloud Storage or from a local folder.
It must not look inside the model file, and must not decide whether the model may be served."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

logger = logging.getLogger("catsdogs.server")

REQUEST_SECONDS = 60.0
DOWNLOAD_SECONDS = 600.0


class SourceError(Exception):
    """The model can't be had right now; trying again later can help. One line."""


def fetch(scheme: str, bucket: str, path: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The model file on this machine, and its model.json ({} when there is none that can be read).

    Raises SourceError with one line that names the address.
    """
    if scheme == "gs":
        _download(bucket, path, folder)
        local = folder / "model.pt"
    else:
        local = Path(path)
    if not local.is_file():
        raise SourceError(f"file://{local} does not exist")
    return local, _description(local.with_name("model.json"))


def _download(bucket: str, path: str, folder: Path) -> None:
    """In a process of its own: the storage library imports on one core while torch does on another."""
    program = Path(__file__).with_name("download.py")
    # -P: the folder of the program is this package, whose modules must not hide others.
    command = [sys.executable, "-P", str(program), bucket, path, str(folder), str(REQUEST_SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"gs://{bucket}/{path} took more than {DOWNLOAD_SECONDS:.0f} s") from error
    if done.returncode:
        lines = (done.stdout or done.stderr).strip().splitlines() or [f"exit status {done.returncode}"]
        raise SourceError(lines[-1] if lines[-1].startswith("gs://") else f"gs://{bucket}/{path}: {lines[-1]}")


def _description(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        logger.warning("the model.json beside the model can't be read, lineage is unknown: %s", error)
        return {}
    return content if isinstance(content, dict) else {}
