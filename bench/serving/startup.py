"""From the start of the server's process to its first answer, with the model in a bucket of a real object store.
It must not count the store's own start."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from bench.serving.contenders import ROOT, SERVER
from bench.store import far_store, free_port
from catsdogs import key, model

DEADLINE = 60.0


def rounds(file: Path, picture: Path, count: int, work: Path) -> list[float]:
    """Seconds, one a round; a first one, which fills the page cache, is left out."""
    with far_store(work):
        client = storage.Client(project="bench", credentials=AnonymousCredentials())
        bucket = client.create_bucket("bench")
        prefix = key.model_prefix("0" * key.VERSION_LENGTH)
        bucket.blob(f"{prefix}model.pt").upload_from_filename(str(file))
        digest = model.sha256_of(file)
        bucket.blob(f"{prefix}model.json").upload_from_string(json.dumps({"sha256": digest, "version": "bench"}))
        taken = [_once(key.uri("bench", f"{prefix}model.pt"), digest, picture.read_bytes()) for _ in range(count + 1)]
        client.close()
    return taken[1:]


def _once(uri: str, digest: str, picture: bytes) -> float:
    port, ops_port = free_port(), free_port()
    env = {
        **os.environ,
        **SERVER,
        "PYTHONPATH": str(ROOT / "workloads"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "OPS_PORT": str(ops_port),
        "MODEL_URI": uri,
        "MODEL_SHA256": digest,
        "DRAIN_SECONDS": "0",
    }
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "catsdogs.server"], env=env, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() < begin + DEADLINE:
            if _answers(port, picture):
                return time.perf_counter() - begin
            time.sleep(0.02)
        raise SystemExit(f"no answer within {DEADLINE:.0f} s")
    finally:
        process.terminate()
        process.wait()


def _answers(port: int, picture: bytes) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.suppress(ConnectionError, socket.timeout), contextlib.closing(connection):
        connection.request("POST", "/predict", picture, {"Content-Type": "image/jpeg"})
        return connection.getresponse().status == 200
    return False
