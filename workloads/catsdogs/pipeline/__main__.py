"""The process that DVC starts for one stage: `python -m catsdogs.pipeline STAGE` in a workspace.
It must not talk to Kubernetes; how it ended is left in .catsdogs/STAGE.json for whoever waits."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import REASONS, Exit, StageError, disk_full
from catsdogs.pipeline import summaries
from catsdogs.pipeline.workspace import STATE, outcome, write_json

PID = STATE / "pid.json"  # whom to tell that the pod must end


def main(arguments: list[str]) -> int:
    """Run one stage, write its result, return its exit code."""
    if len(arguments) != 1 or arguments[0] not in ("raw", *key.STAGES):
        print(f"usage: python -m catsdogs.pipeline raw|{'|'.join(key.STAGES)}", file=sys.stderr)
        return Exit.CONFIG_ERROR
    stage = arguments[0]
    outcome(stage).unlink(missing_ok=True)
    started = time.monotonic()
    try:
        write_json(PID, {"pid": os.getpid()})
        summary = _run(stage)
        seconds = round(time.monotonic() - started, 1)
        write_json(outcome(stage), {"stage": stage, "ok": True, "seconds": seconds, "summary": summary})
    except StageError as error:
        return _fail(stage, error)
    except KeyboardInterrupt:
        return _fail(stage, StageError(Exit.TERMINATED, "stopped", "run again: what is done is kept"))
    except Exception as error:
        if (explained := disk_full(error)) is not None:
            return _fail(stage, explained)
        traceback.print_exc()
        _leave(stage, crashed(stage, error))
        return Exit.CRASH
    return Exit.OK


def _fail(stage: str, error: StageError) -> int:
    print(f"{stage}: {error.message}\n{stage}: hint: {error.hint}", file=sys.stderr, flush=True)
    _leave(stage, failed(stage, error))
    return error.code


def _leave(stage: str, result: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # on a full disk the exit code alone has to do
        write_json(outcome(stage), result)


def _run(stage: str) -> dict[str, Any]:
    if stage == "raw":
        from catsdogs.pipeline import previous, raw

        photos = raw.list_photos()
        digest = raw.write_manifest(photos)
        previous.write(digest)
        return {"rawHash": digest, "photographs": len(photos)}
    importlib.import_module(f"catsdogs.pipeline.{stage}").run()
    return summaries.of(stage, Path())


def failed(stage: str, error: StageError) -> dict[str, Any]:
    """The result of a stage that could say what is wrong."""
    return {
        "stage": stage,
        "ok": False,
        "reason": error.reason,
        "message": error.message,
        "hint": error.hint,
        "exitCode": int(error.code),
    }


def crashed(stage: str, error: BaseException) -> dict[str, Any]:
    """The result of a stage that ended in an exception nobody foresaw."""
    return {
        "stage": stage,
        "ok": False,
        "reason": REASONS[Exit.CRASH],
        "message": f"{type(error).__name__}: {error}".splitlines()[0][:500],
        "hint": "the stage's log has the traceback",
        "exitCode": int(Exit.CRASH),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
