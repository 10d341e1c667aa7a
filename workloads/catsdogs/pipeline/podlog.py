"""The log of a stage in its pod: one JSON object per line on standard output, as Cloud Logging reads it.
It must not be used on a laptop, where people read the plain lines of the stage itself."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_MARKS = {"ERROR": logging.ERROR, "WARNING": logging.WARNING}


def write(stage: str, text: str, level: int | None = None) -> None:
    """One line of the log with time, severity, stage and `text`, which may have several lines, such as a traceback.

    Without a `level` it is what `text` begins with, as DVC's lines do, else INFO.
    """
    if level is None:
        level = next((found for mark, found in _MARKS.items() if text.startswith(mark)), logging.INFO)
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "severity": logging.getLevelName(level),
        "stage": stage,
        "message": text,
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)
