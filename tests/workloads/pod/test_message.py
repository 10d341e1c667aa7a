"""The termination message: whole JSON within its limit, with as many of the log's last lines as there is room for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catsdogs.pipeline.stage import LOG_BYTES, MESSAGE_BYTES, message_of

FAILED = {"stage": "train", "ok": False, "reason": "Crashed", "message": "boom", "hint": "look", "exitCode": 1}


def said(**more: Any) -> dict[str, Any]:
    data = message_of({**FAILED, **more})
    assert len(data) <= MESSAGE_BYTES
    return dict(json.loads(data))


def test_no_log_no_field() -> None:
    assert said(log="") == FAILED


def test_the_last_lines_are_kept_whole() -> None:
    lines = [f"line {number}" for number in range(300)]
    log = said(log="\n".join(lines))["log"].splitlines()
    assert log[-1] == "line 299"
    assert log[1:] == lines[-len(log) + 1 :]
    assert LOG_BYTES - 20 < len("\n".join(log)) <= LOG_BYTES


@pytest.mark.parametrize("mark", ["\x1b", "ü", '"', "\\"])
def test_what_json_makes_longer_still_fits(mark: str) -> None:
    lines = [f"{number}{mark * 20}" for number in range(100)]
    found = said(message="m" * 2000, log="\n".join(lines))
    assert found["message"] == "m" * 800
    assert found["log"].splitlines()[-1] == lines[-1]


def test_a_line_that_has_no_room_is_left_out() -> None:
    assert said(message="m" * 2000, hint="h" * 2000, log="ü" * 1000) == {
        **FAILED,
        "message": "m" * 800,
        "hint": "h" * 800,
    }


def test_a_summary_without_room_is_left_out() -> None:
    assert said(summary={"x": "y" * 3000}) == {name: FAILED[name] for name in ("stage", "ok", "reason", "exitCode")}
