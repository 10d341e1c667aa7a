"""Checkpoints of a training: whole files with a checksum, here and in the bucket, found again after a restart.
It must not slow the training: the bucket gets the newest one from a thread, and a deaf bucket is only said."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from catsdogs import key
from catsdogs.errors import StageError, disk_full
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import CHECKPOINT

NAME = "checkpoint.pt"
DIGEST_BYTES = 32  # SHA-256 of what follows it
SEND_SECONDS = 10.0  # between two uploads
FLUSH_SECONDS = 8.0


@contextlib.contextmanager
def enough_disk(path: Path) -> Iterator[None]:
    """Turn a full disk while `path` is written into StageError 74; what else goes wrong stays as it is."""
    try:
        yield
    except OSError as error:
        path.unlink(missing_ok=True)  # half a file, and in the way of all others
        error.filename = error.filename or str(path)
        raise disk_full(error) or error from None


class Checkpoints:
    """Keeps the newest checkpoint of one training, which `fingerprint` names (data, parameters, code)."""

    def __init__(self, fingerprint: str, progress: Progress) -> None:
        self.fingerprint = fingerprint
        self.progress = progress
        self.bucket = os.environ.get("CATSDOGS_BUCKET", "")
        self.version = os.environ.get("CATSDOGS_VERSION", "")
        self._saved = self._sent = 0  # counted, under the condition
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        if self.remote:
            threading.Thread(target=self._send_forever, daemon=True).start()

    @property
    def remote(self) -> bool:
        """Whether checkpoints also go to the bucket."""
        return bool(self.bucket and self.version)

    def save(self, content: dict[str, Any]) -> None:
        """Write a checkpoint, whole or not at all, and have it sent. Raises StageError 74 when the disk is full."""
        buffer = io.BytesIO()
        torch.save({**content, "fingerprint": self.fingerprint}, buffer)
        data = buffer.getbuffer()
        CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
        partial = CHECKPOINT.with_suffix(".partial")
        with enough_disk(partial), partial.open("wb") as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(CHECKPOINT)
        with self._changed:
            self._saved += 1
            self._changed.notify_all()

    def latest(self) -> dict[str, Any] | None:
        """The newest whole checkpoint of this very training, from here or else from the bucket, or None."""
        here = CHECKPOINT.read_bytes() if CHECKPOINT.exists() else None
        if (content := self._read(here, str(CHECKPOINT))) is not None or not self.remote:
            return content
        path = key.checkpoint_prefix(self.version) + NAME
        there = store.download_if_there(store.open_bucket(self.bucket), path)
        return self._read(there, key.uri(self.bucket, path))

    def flush(self) -> None:
        """Wait until the bucket has the newest checkpoint, at most FLUSH_SECONDS."""
        if not self.remote:
            return
        self._hurry.set()
        with self._changed:
            if not self._changed.wait_for(lambda: self._sent == self._saved, FLUSH_SECONDS):
                self.progress.say("the newest checkpoint did not reach the bucket")

    def remove_local(self) -> None:
        """The training is done: only the bucket's copy stays, until the model is published."""
        CHECKPOINT.unlink(missing_ok=True)

    def _read(self, data: bytes | None, where: str) -> dict[str, Any] | None:
        """A damaged checkpoint is said and left aside: it must not stop a training that can begin anew."""
        if data is None:
            return None
        if hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
            self.progress.say(f"{where} is damaged and is left aside")
            return None
        content: dict[str, Any] = torch.load(io.BytesIO(data[DIGEST_BYTES:]), map_location="cpu", weights_only=True)
        return content if content["fingerprint"] == self.fingerprint else None

    def _send_forever(self) -> None:
        path = key.checkpoint_prefix(self.version) + NAME
        bucket: Any = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sent < self._saved)
                sending = self._saved
            try:
                bucket = bucket or store.open_bucket(self.bucket)
                store.upload(bucket, path, Path(CHECKPOINT))
            except (StageError, OSError) as error:
                self.progress.say(f"checkpoint not sent: {error}")
            with self._changed:
                self._sent = sending
                self._changed.notify_all()
            self._hurry.wait(SEND_SECONDS)
