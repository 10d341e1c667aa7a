"""The operator's log is JSON on standard output, with the severities of Cloud Logging."""

import json
import os
import subprocess
import sys

SCRIPT = """
import logging
from mlops_operator import logs
logs.configure("INFO")
log = logging.getLogger("mlops_operator.some")
log.debug("not told")
log.warning("resync failed, again in %.0f s: %s", 5, "ü")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("boom")
logging.getLogger("kopf.objects").info("not told")
"""


def test_lines_are_objects_with_severity_and_time() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], text=True, capture_output=True, check=True)
    assert done.stderr == ""
    warning, error = [json.loads(line) for line in done.stdout.splitlines()]
    assert warning.pop("time") <= error.pop("time")
    assert warning == {
        "severity": "WARNING",
        "logger": "mlops_operator.some",
        "message": "resync failed, again in 5 s: ü",
    }
    assert error.pop("exception").startswith("Traceback (most recent call last):")
    assert error == {"severity": "ERROR", "logger": "mlops_operator.some", "message": "boom"}


def test_a_wrong_setting_is_one_line_of_it() -> None:
    command = [sys.executable, "-m", "mlops_operator"]
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=os.environ | {"POD_ENV": "["})
    assert (done.returncode, done.stderr) == (78, "")
    [line] = done.stdout.splitlines()
    assert json.loads(line)["severity"] == "ERROR"
