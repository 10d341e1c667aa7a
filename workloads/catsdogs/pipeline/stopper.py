"""SIGTERM while DVC runs a stage: the process that computes is told first, and may save what it has.
It must not decide how the run ends; it only remembers that it was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import FrameType

from catsdogs.pipeline import progress

GRACE_SECONDS = 10.0


class Stopper:
    """Turns SIGTERM into an orderly end; `pid_file` names the computing process."""

    def __init__(self, pid_file: Path) -> None:
        self.stopped = False
        self._file = pid_file
        self._dvc: subprocess.Popen[str] | None = None
        signal.signal(signal.SIGTERM, self._stop)

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Take note of the DVC process that is waited for."""
        self._dvc = process

    def _stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.stopped = True
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
        signal.signal(signal.SIGALRM, self._kill)
        pid = progress.read(self._file).get("pid")
        if isinstance(pid, int) and _alive(pid):
            os.kill(pid, signal.SIGTERM)
        elif self._dvc is not None:
            self._dvc.terminate()

    def _kill(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._dvc is not None:
            self._dvc.kill()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
