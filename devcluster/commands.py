"""Short commands and their output.

It knows nothing of what they do; a failing one is one line with the command's own reason.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devcluster.errors import DevclusterError


def run(
    *command: str | Path, check: bool = True, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a short command and return its output; `env` is added to this process's environment.

    Raises `DevclusterError` with its last line when it fails.
    """
    words, env = [str(part) for part in command], os.environ | dict(env or {})
    try:
        done = subprocess.run(words, text=True, capture_output=True, check=False, input=stdin, env=env)
    except OSError as error:
        raise DevclusterError(f"{words[0]} can't be run: {error.strerror}") from None
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise DevclusterError(f"`{' '.join(words)}` failed: {said[-1] if said else 'no message'}")
    return done.stdout


def follow(
    command: Sequence[str], tell: Callable[[str], None], env: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run a long command and `tell` each line of its output and errors; returns its exit status and all lines."""
    lines: list[str] = []
    env = os.environ | dict(env or {})
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            tell(lines[-1])
    return process.returncode, lines
