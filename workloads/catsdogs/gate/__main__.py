"""`python -m catsdogs.gate`: one judgement, told to the termination message and the bucket. Every verdict ends with
exit code 0; it must not call a failure of its own a verdict, nor import torch before the settings are read."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catsdogs.errors import Exit, StageError, disk_full

MESSAGE_BYTES = 2000
RIGHTS = "give the account model-judge the rights that deploy/gcp/identity.tf lists for it"


def main() -> int:
    """Judge as the environment says; returns the exit code."""
    started = time.monotonic()
    log = Path(os.environ.get("CATSDOGS_TERMINATION_LOG", "/dev/termination-log"))
    try:
        content, code = _judged(started), Exit.OK
    except Exception as error:
        known = error if isinstance(error, StageError) else disk_full(error)
        if known is None:  # the traceback goes to the log; its first line to whoever reads the status
            sys.excepthook(*sys.exc_info())
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            known = StageError(Exit.CRASH, line, "the log of the pod says more")
        hint = RIGHTS if known.code == Exit.PERMISSION_DENIED else known.hint
        content = {"ok": False, "reason": known.reason, "message": known.message, "hint": hint}
        code = known.code
    data = message_of(content)
    print(data.decode(), flush=True)
    try:
        log.write_bytes(data)
    except OSError as error:
        print(f"{log} can't be written: {error}", file=sys.stderr, flush=True)
    return int(code)


def _judged(started: float) -> dict[str, Any]:
    from catsdogs.gate import judge
    from catsdogs.gate.settings import from_environment

    settings = from_environment(os.environ)
    verdict = judge.judge(settings)
    verdict["seconds"] = round(time.monotonic() - started, 1)
    judge.publish(settings.report, "verdict.json", message_of(verdict))
    return verdict


def message_of(content: Mapping[str, Any]) -> bytes:
    """The content as JSON of at most MESSAGE_BYTES, for which long texts are cut."""
    for limit in (1000, 400, 200, 100):
        cut = {name: value[:limit] if isinstance(value, str) else value for name, value in content.items()}
        data = json.dumps(cut, separators=(",", ":"), allow_nan=False).encode()
        if len(data) <= MESSAGE_BYTES:
            return data
    raise ValueError(f"{len(data)} bytes of JSON can't be cut to {MESSAGE_BYTES}")


if __name__ == "__main__":
    sys.exit(main())
