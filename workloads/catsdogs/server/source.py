"""Fetches a model file and the model.json beside it, from Cloud Storage or from a local folder.
It must not look inside the model file, and must not decide whether the model may be served."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger("catsdogs.server")

ATTEMPT_SECONDS = 60.0
DESCRIPTION_LIMIT = 1_000_000


class SourceError(Exception):
    """The model can't be had right now; trying again later can help. One line."""


def fetch(scheme: str, bucket: str, path: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The model file on this machine, and its model.json ({} when there is none that can be read).

    Raises SourceError with one line that names the address.
    """
    if scheme == "file":
        local = Path(path)
        if not local.is_file():
            raise SourceError(f"file://{path} does not exist")
        beside = local.with_name("model.json")
        return local, _description(str(beside), beside.read_bytes) if beside.is_file() else {}
    return _from_bucket(bucket, path, folder)


def _from_bucket(bucket: str, path: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    # Imported here: the import takes a second, which runs beside the import of torch.
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client
    from google.cloud.storage.retry import DEFAULT_RETRY
    from requests.exceptions import RequestException

    address = f"gs://{bucket}/{path}"
    retry = DEFAULT_RETRY.with_timeout(ATTEMPT_SECONDS)
    local = folder / "model.pt"
    beside = f"{path.rpartition('/')[0]}/model.json".lstrip("/")
    try:
        client = Client()
        store = client.bucket(bucket)
        store.blob(path).download_to_filename(str(local), timeout=ATTEMPT_SECONDS, retry=retry)
        try:
            text = store.blob(beside).download_as_bytes(end=DESCRIPTION_LIMIT, timeout=ATTEMPT_SECONDS, retry=retry)
        except NotFound:
            logger.warning("gs://%s/%s does not exist: lineage is unknown", bucket, beside)
            return local, {}
    except NotFound as error:
        raise SourceError(f"{address} does not exist") from error
    except (GoogleAPIError, GoogleAuthError, RequestException, OSError) as error:
        raise SourceError(f"{address} can't be read: {_one_line(error)}") from error
    return local, _description(f"gs://{bucket}/{beside}", lambda: text)


def _description(address: str, read: Callable[[], bytes]) -> dict[str, Any]:
    try:
        content = json.loads(read())
    except (OSError, ValueError) as error:
        logger.warning("%s can't be read, lineage is unknown: %s", address, _one_line(error))
        return {}
    return content if isinstance(content, dict) else {}


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
