"""A program of its own: fetches a model file and the model.json beside it from Cloud Storage into a folder.
It must not import anything of this package: it runs beside the server, which imports torch meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

# A model.json is a few kilobytes; whatever is larger is none.
DESCRIPTION_LIMIT = 1_000_000
EXIT_MISSING, EXIT_UNAVAILABLE = 66, 75
# Whoever starts this tries again by itself; until then /health can't say what is wrong.
RETRY_SECONDS = 10.0


def main(bucket: str, path: str, folder: str, seconds: str) -> int:
    """model.pt and, when there is one, model.json in `folder`; each request gets `seconds`.

    The exit status is 0, 66 when there is no such file, or 75 when it can't be had; then with one line on standard
    output that says what is missing or failed.
    """
    timeout = float(seconds)
    retry = DEFAULT_RETRY.with_timeout(min(timeout, RETRY_SECONDS))
    beside = f"{path.rpartition('/')[0]}/model.json".lstrip("/")
    try:
        store = Client().bucket(bucket)
        store.blob(path).download_to_filename(f"{folder}/model.pt", timeout=timeout, retry=retry)
        try:
            text = store.blob(beside).download_as_bytes(end=DESCRIPTION_LIMIT, timeout=timeout, retry=retry)
            Path(folder, "model.json").write_bytes(text)
        except (NotFound, Forbidden):  # to an account that may not list, Cloud Storage says 403 of what is not there
            pass
    except NotFound:
        print(f"gs://{bucket}/{path} does not exist")
        return EXIT_MISSING
    except (GoogleAPIError, GoogleAuthError, RequestException, OSError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"gs://{bucket}/{path} can't be read: {line[:300]}")
        return EXIT_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
