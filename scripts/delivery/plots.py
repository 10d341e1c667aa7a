"""Fetches what evaluation wrote of a model: `plots.py VERSION FOLDER`, metrics.json and the pictures beside it.

The bucket is BUCKET; the login is gcloud's, and none where STORAGE_EMULATOR_HOST names a stand-in. It only reads.
"""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

from actions import DeliveryError, run, setting
from explain import explain

KINDS = (".png", ".json")


def headers() -> dict[str, str]:
    """The login, as an HTTP header."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return {}
    command = ["gcloud", "auth", "print-access-token"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise DeliveryError(*explain("Getting a token for the bucket", done.stderr))
    return {"Authorization": f"Bearer {done.stdout.strip()}"}


def fetch() -> None:
    """Write the files below models/cats-dogs/VERSION/evaluation/ into the folder, flat."""
    version, folder = sys.argv[1], Path(sys.argv[2])
    host = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
    objects, login = f"{host}/storage/v1/b/{setting('BUCKET')}/o", headers()
    prefix = f"models/cats-dogs/{version}/evaluation/"
    folder.mkdir(parents=True, exist_ok=True)
    listed = json.loads(get(f"{objects}?prefix={urllib.parse.quote(prefix)}", login))
    for item in listed.get("items", ()):
        file = folder / Path(item["name"]).name
        if file.suffix in KINDS:
            file.write_bytes(get(f"{objects}/{urllib.parse.quote(item['name'], safe='')}?alt=media", login))
            print(file, flush=True)


def get(url: str, login: dict[str, str]) -> bytes:
    """The answer to GET. Raises DeliveryError with the store's words."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=login), timeout=30) as answer:  # noqa: S310
            found: bytes = answer.read()
    except OSError as problem:
        raise DeliveryError(*explain(f"Reading {url.partition('?')[0]}", str(problem))) from None
    return found


if __name__ == "__main__":
    run(fetch)
