"""Has a model file and the model.json beside it brought here: from Cloud Storage, a folder or MLflow's registry.
It must not look inside the model file, and must not decide whether the model may be served."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from catsdogs.server import registry
from catsdogs.server.config import Address
from catsdogs.server.registry import SourceError, UnavailableError

__all__ = ["Fetched", "SourceError", "UnavailableError", "fetch"]
logger = logging.getLogger("catsdogs.server")

REQUEST_SECONDS = 60.0
DOWNLOAD_SECONDS = 600.0
EXIT_MISSING = 66  # of download.py, which can't be imported


@dataclass(frozen=True)
class Fetched:
    """A model file on this machine, its model.json ({} when there is none that can be read), and the SHA-256
    that the registry notes for it ("" elsewhere)."""

    path: Path
    description: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def fetch(address: Address, tracking_uri: str, folder: Path) -> Fetched:
    """Brings what `address` names into `folder`. Raises SourceError with one line that names the address."""
    if address.scheme == "models":
        return _registered(address, tracking_uri, folder)
    if address.scheme == "gs":
        return _downloaded(address.place, address.path, folder)
    local = Path(address.path)
    if not local.is_file():
        raise SourceError(f"file://{local} does not exist")
    return _described(local)


def _registered(address: Address, tracking_uri: str, folder: Path) -> Fetched:
    found = registry.find(tracking_uri, address.path, REQUEST_SECONDS)
    where = urlsplit(found.location)
    if where.scheme == "gs":
        fetched = _downloaded(where.netloc, f"{where.path.strip('/')}/model.pt", folder)
    elif where.scheme == "mlflow-artifacts":
        with contextlib.suppress(SourceError):  # then the lineage is unknown
            registry.download(tracking_uri, found.location, "model.json", folder, REQUEST_SECONDS)
        registry.download(tracking_uri, found.location, "model.pt", folder, REQUEST_SECONDS)
        fetched = _described(folder / "model.pt")
    else:
        raise SourceError(
            f"models:/{address.path} lies at {found.location!r}, which is not in MLflow's store nor gs://"
        )
    return Fetched(fetched.path, fetched.description, found.sha256)


def _downloaded(bucket: str, path: str, folder: Path) -> Fetched:
    """In a process of its own: the storage library imports on one core while torch does on another."""
    program = Path(__file__).with_name("download.py")
    # -P: the folder of the program is this package, whose modules must not hide others.
    command = [sys.executable, "-P", str(program), bucket, path, str(folder), str(REQUEST_SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"gs://{bucket}/{path} took more than {DOWNLOAD_SECONDS:.0f} s") from error
    if done.returncode:
        lines = (done.stdout or done.stderr).strip().splitlines() or [f"exit status {done.returncode}"]
        failure = SourceError if done.returncode == EXIT_MISSING else UnavailableError
        raise failure(lines[-1] if lines[-1].startswith("gs://") else f"gs://{bucket}/{path}: {lines[-1]}")
    return _described(folder / "model.pt")


def _described(model: Path) -> Fetched:
    try:
        content = json.loads(model.with_name("model.json").read_bytes())
    except (OSError, ValueError) as error:
        logger.warning("the model.json beside the model can't be read, lineage is unknown: %s", error)
        content = {}
    return Fetched(model, content if isinstance(content, dict) else {})
