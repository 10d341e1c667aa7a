"""One stage in the training pod: `catsdogs stage NAME` runs it through DVC, publishes what it made, and says how
it ended in the termination message. It must not compute anything itself, and must not import torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from catsdogs import key
from catsdogs.errors import REASONS, Exit, StageError, config_error
from catsdogs.pipeline import dvc, previous, progress, publish, raw, summaries
from catsdogs.pipeline.__main__ import PID, RESULT
from catsdogs.pipeline.settings import Settings, from_environment
from catsdogs.pipeline.workspace import RAW_MANIFEST

MESSAGE_BYTES = 2000
GRACE_SECONDS = 10.0
CRASH_HINT = "the stage's log has the traceback"


class Stopper:
    """Turns SIGTERM into an orderly end: the computing process is told, and may save what it has."""

    def __init__(self, pid_file: Path) -> None:
        self.stopped = False
        self._file = pid_file
        self._dvc: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGTERM, self._stop)

    def watch(self, process: subprocess.Popen[bytes]) -> None:
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


def main(name: str) -> int:
    """Run stage `name` as the pod does; returns the exit code. Everything it needs is in the environment."""
    started = time.monotonic()
    log = Path(os.environ.get("CATSDOGS_TERMINATION_LOG", "/dev/termination-log"))
    try:
        result = _run(name)
    except StageError as error:
        result = {"ok": False, "reason": error.reason, "message": error.message, "hint": error.hint}
        result["exitCode"] = int(error.code)
    except Exception as error:
        # What the traceback says goes to the log; the first line to whoever reads the status.
        sys.excepthook(*sys.exc_info())
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        result = {"ok": False, "reason": REASONS[Exit.CRASH], "message": message, "hint": CRASH_HINT, "exitCode": 1}
    content = {**result, "stage": name, "seconds": round(time.monotonic() - started, 1)}
    if not content["ok"]:
        print(f"{name}: {content['message']}\n{name}: hint: {content['hint']}", file=sys.stderr, flush=True)
    try:
        log.write_bytes(message_of(content))
    except OSError as error:
        print(f"{name}: {log} can't be written: {error}", file=sys.stderr, flush=True)
    return int(content.get("exitCode", Exit.OK))


def message_of(content: Mapping[str, Any]) -> bytes:
    """The termination message: JSON of at most MESSAGE_BYTES, for which long texts are cut."""
    for limit in (800, 200, 50):
        cut = {name: value[:limit] if isinstance(value, str) else value for name, value in content.items()}
        text = json.dumps(cut, separators=(",", ":")).encode()
        if len(text) <= MESSAGE_BYTES:
            return text
    return json.dumps({name: content.get(name) for name in ("stage", "ok", "reason", "exitCode")}).encode()


def _run(name: str) -> dict[str, Any]:
    if name not in key.STAGES:
        raise config_error(f"there is no stage {name!r}", f"stages are {', '.join(key.STAGES)}")
    settings = from_environment()
    file = settings.repo / progress.FILE
    file.unlink(missing_ok=True)
    stopper = Stopper(settings.repo / PID)
    progress.serve(name, file, settings.port)
    if name == "ingest":
        prepare(settings)
    _reproduce(settings, name, stopper)
    if name in publish.DATA:
        publish.data(settings, name)
    if name == "evaluate":
        dvc.push(settings.repo)  # before the version is closed: whoever sees it can restore its data
        return {"ok": True, "summary": publish.model(settings)}
    return {"ok": True, "summary": summaries.of(name, settings.repo)}


def prepare(settings: Settings) -> None:
    """List the photographs, check that they still are what the run's key says, and make the workspace.

    Raises StageError 67 when photographs, parameters or image are not those of the key. The listing, and what is
    inherited, are written here, not by DVC's stage `raw`: one process start less, and a changed folder shows before
    any work.
    """
    photos = raw.list_photos()
    found = key.raw_hash(photos)
    if found != settings.raw_hash:
        raise StageError(
            Exit.DATA_CHANGED,
            f"{key.uri(settings.bucket, key.RAW_PREFIX)} has changed since this run was created: "
            f"its raw hash is {found[:12]}, not {settings.raw_hash[:12]}",
            "create a new TrainingRun for the photographs as they are now",
        )
    version = key.version(found, settings.parameters, settings.image)
    if version != settings.version:
        raise StageError(
            Exit.DATA_CHANGED,
            f"these photographs, parameters and image make version {version}, not {settings.version}",
            "use an operator and a trainer image of the same release",
        )
    dvc.create(settings.repo, settings.parameters, settings.bucket)
    raw.write_manifest(photos, settings.repo / RAW_MANIFEST)
    previous.write(found, settings.repo)


def _reproduce(settings: Settings, name: str, stopper: Stopper) -> None:
    """One DVC stage. Raises StageError as the stage itself ended."""
    result = settings.repo / RESULT
    result.unlink(missing_ok=True)
    (settings.repo / PID).unlink(missing_ok=True)
    code = dvc.reproduce(settings.repo, [name], pull=True, started=stopper.watch)
    said = progress.read(result)
    if stopper.stopped:
        raise StageError(Exit.TERMINATED, f"stopped by SIGTERM in stage {name}", "run again: it goes on where it was")
    if said.get("stage") == name and said.get("ok") is False:
        raise StageError(Exit(said["exitCode"]), said["message"], said["hint"])
    if code:
        raise StageError(Exit.CRASH, f"DVC ended stage {name} with code {code}", CRASH_HINT)
