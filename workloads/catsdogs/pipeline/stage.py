"""One stage in the training pod: `catsdogs stage NAME` runs it through DVC, publishes what it made, and says how
it ended in the termination message. It must not compute anything itself, and must not import torch."""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError, config_error, disk_full
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import dvc, podlog, previous, progress, publish, raw, summaries
from catsdogs.pipeline.__main__ import PID
from catsdogs.pipeline.settings import Settings, from_environment
from catsdogs.pipeline.stopper import Stopper
from catsdogs.pipeline.workspace import RAW_MANIFEST, outcome

MESSAGE_BYTES = 2000
LOG_BYTES = 1024
LOG_LINES = 40


def main(name: str) -> int:
    """Run stage `name` as the pod does; returns the exit code. Everything it needs is in the environment."""
    started = time.monotonic()
    log = Path(os.environ.get("CATSDOGS_TERMINATION_LOG", "/dev/termination-log"))
    lines: deque[str] = deque(maxlen=LOG_LINES)
    try:
        result = _run(name, lines)
    except Exception as error:
        known = error if isinstance(error, StageError) else disk_full(error)
        if known is None:  # the traceback goes to the log; its first line to whoever reads the status
            trace = "".join(traceback.format_exception(error))
            podlog.write(name, trace, logging.ERROR)
            known = StageError(Exit.CRASH, f"{type(error).__name__}: {error}".splitlines()[0], dvc.CRASH_HINT)
            lines.extend(trace.splitlines())
        result = {"ok": False, "reason": known.reason, "message": known.message, "hint": known.hint}
        result |= {"exitCode": int(known.code), "log": "\n".join(lines)}
    content = {**result, "stage": name, "seconds": round(time.monotonic() - started, 1)}
    if not content["ok"]:
        podlog.write(name, f"{content['message']}: {content['hint']}", logging.ERROR)
    try:
        log.write_bytes(message_of(content))
    except OSError as error:
        podlog.write(name, f"{log} can't be written: {error}", logging.ERROR)
    return int(content.get("exitCode", Exit.OK))


def message_of(content: Mapping[str, Any]) -> bytes:
    """The termination message: JSON of at most MESSAGE_BYTES, for which long texts are cut.

    Of `log`, which is the stage's last lines, as many go in as have room beside the rest, within LOG_BYTES.
    """
    said = {name: value for name, value in content.items() if name != "log"}
    lines = str(content.get("log", ""))[-LOG_BYTES:].splitlines()
    for limit in (800, 200, 50):
        cut = {name: value[:limit] if isinstance(value, str) else value for name, value in said.items()}
        if len(_compact(cut)) > MESSAGE_BYTES:
            continue
        for first in range(len(lines)):
            text = _compact({**cut, "log": "\n".join(lines[first:])})
            if len(text) <= MESSAGE_BYTES:
                return text
        return _compact(cut)
    return _compact({name: said.get(name) for name in ("stage", "ok", "reason", "exitCode")})


def _compact(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _run(name: str, lines: deque[str]) -> dict[str, Any]:
    """The stage's result; `lines` gets what DVC and the stage print."""
    if name not in key.STAGES:
        raise config_error(f"there is no stage {name!r}", f"stages are {', '.join(key.STAGES)}")
    settings = from_environment()
    file = settings.repo / progress.FILE
    file.unlink(missing_ok=True)
    stopper = Stopper(settings.repo / PID)
    progress.serve(name, file, settings.port)
    if name == "ingest":
        prepare(settings)
    reused = _reproduce(settings, name, stopper, lines)
    if name in publish.DATA:
        publish.data(settings, name)
        if not reused:
            keep(settings, name)
    if name == "evaluate":
        push(settings)  # before the version is closed: whoever sees it can restore its data
        return {"ok": True, "reused": reused, "summary": publish.model(settings)}
    return {"ok": True, "reused": reused, "summary": summaries.of(name, settings.repo)}


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
    version = key.version(found, settings.parameters, settings.image, settings.rerun)
    if version != settings.version:
        raise StageError(
            Exit.DATA_CHANGED,
            f"these photographs, parameters and image make version {version}, not {settings.version}",
            "use an operator and a trainer image of the same release",
        )
    dvc.create(settings.repo, settings.parameters, settings.bucket)
    raw.write_manifest(photos, settings.repo / RAW_MANIFEST)
    previous.write(found, settings.repo)


def _reproduce(settings: Settings, name: str, stopper: Stopper, lines: deque[str]) -> bool:
    """One DVC stage; returns whether its result was there already, so that nothing was computed.

    A rerun trains whatever is known of that training; its data are the same by their very names, and are reused.
    Raises StageError as the stage itself ended.
    """
    result = settings.repo / outcome(name)
    result.unlink(missing_ok=True)
    (settings.repo / PID).unlink(missing_ok=True)

    def say(line: str) -> None:
        lines.append(line)
        podlog.write(name, line)

    forced = bool(settings.rerun) and name == "train"
    ended = dvc.reproduce(settings.repo, [name], pull=True, force=forced, started=stopper.watch, said=say)
    said = progress.read(result)
    if stopper.stopped:
        raise StageError(Exit.TERMINATED, f"stopped by SIGTERM in stage {name}", "run again: it goes on where it was")
    if said.get("ok") is False:
        raise StageError(Exit(said["exitCode"]), said["message"], said["hint"])
    if ended.code:
        store.check(store.open_bucket(settings.bucket))  # if that is it, it says so better than DVC does
        raise dvc.failure(ended.error, f"DVC ended stage {name} with code {ended.code}")
    return not said


def keep(settings: Settings, name: str) -> None:
    """Send what the stage made to the cache in the bucket: should this pod be taken away, the next one pulls it.

    A cache that does not take it is only said: the stage is done, and could be done again.
    """
    try:
        push(settings)
    except StageError as error:
        podlog.write(name, f"not kept for another pod: {error}", logging.WARNING)


def push(settings: Settings) -> None:
    """Send DVC's cache to the bucket, then the run cache, which refers to it: an entry never lacks its files.

    Raises StageError: the bucket's own if it is at fault, else DVC's.
    """
    bucket = store.open_bucket(settings.bucket)
    try:
        dvc.push(settings.repo)
    except StageError:
        store.check(bucket)
        raise
    store.upload_new(bucket, f"{key.DVC_PREFIX}/runs/", settings.repo / dvc.CACHE / "runs")
