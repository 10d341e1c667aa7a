"""Checkpoints of a training: written at the end of each epoch, here and in the bucket, found again after a restart.
It must not slow the training: the bucket gets the newest one from a thread, and a deaf bucket is only said."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import torch

from catsdogs import key
from catsdogs.errors import StageError
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.workspace import CHECKPOINT

NAME = "checkpoint.pt"
FLUSH_SECONDS = 8.0


class Checkpoints:
    """Keeps the newest checkpoint of one training, which `fingerprint` names (data, parameters, code)."""

    def __init__(self, fingerprint: str, progress: Progress) -> None:
        self.fingerprint = fingerprint
        self.progress = progress
        self.bucket = os.environ.get("CATSDOGS_BUCKET", "")
        self.version = os.environ.get("CATSDOGS_VERSION", "")
        self.wanted = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        if self.remote:
            threading.Thread(target=self._send_forever, daemon=True).start()

    @property
    def remote(self) -> bool:
        """Whether checkpoints also go to the bucket."""
        return bool(self.bucket and self.version)

    def save(self, content: dict[str, Any]) -> None:
        """Write a checkpoint, whole or not at all, and start sending it."""
        CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
        partial = CHECKPOINT.with_suffix(".partial")
        torch.save({**content, "fingerprint": self.fingerprint}, partial)
        partial.replace(CHECKPOINT)
        self.idle.clear()
        self.wanted.set()

    def latest(self) -> dict[str, Any] | None:
        """The newest checkpoint of this very training, from here or from the bucket, or None."""
        data = CHECKPOINT.read_bytes() if CHECKPOINT.exists() else None
        if data is None and self.remote:
            path = key.checkpoint_prefix(self.version) + NAME
            data = store.download_if_there(store.open_bucket(self.bucket), path)
        if data is None:
            return None
        try:
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged checkpoint must not stop a training that can begin anew
            self.progress.say(f"the checkpoint can't be read and is left aside: {error}")
            return None
        usable = isinstance(content, dict) and content.get("fingerprint") == self.fingerprint
        return content if usable else None

    def flush(self) -> None:
        """Wait until the bucket has the newest checkpoint, at most FLUSH_SECONDS."""
        if self.remote and not self.idle.wait(FLUSH_SECONDS):
            self.progress.say("the newest checkpoint did not reach the bucket")

    def remove_local(self) -> None:
        """The training is done: only the bucket's copy stays, until the model is published."""
        CHECKPOINT.unlink(missing_ok=True)

    def _send_forever(self) -> None:
        path = key.checkpoint_prefix(self.version) + NAME
        bucket: Any = None
        while True:
            self.wanted.wait()
            self.wanted.clear()
            try:
                bucket = bucket or store.open_bucket(self.bucket)
                store.upload(bucket, path, Path(CHECKPOINT))
            except (StageError, OSError) as error:
                self.progress.say(f"checkpoint not sent: {error}")
            if not self.wanted.is_set():
                self.idle.set()
