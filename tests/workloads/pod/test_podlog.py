"""The lines of a stage's log in its pod, as Cloud Logging reads them."""

from __future__ import annotations

import json
import logging

import pytest

from catsdogs.pipeline import podlog


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("train: epoch 3 of 60", "INFO"),
        ("ERROR: failed to push data to the cloud", "ERROR"),
        ("WARNING: Output is empty", "WARNING"),
        ("no ERROR here", "INFO"),
    ],
)
def test_a_line_is_one_object_with_its_own_severity(
    text: str, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    podlog.write("train", text)
    said = capsys.readouterr()
    line = json.loads(said.out)
    assert line.pop("time").endswith("+00:00")
    assert (line, said.err) == ({"severity": severity, "stage": "train", "message": text}, "")


def test_a_traceback_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    podlog.write("train", "Traceback\n  boom\n", logging.ERROR)
    [line] = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["severity"], json.loads(line)["message"]) == ("ERROR", "Traceback\n  boom\n")
