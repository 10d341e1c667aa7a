"""Kill the real training process at random moments, until it is left alone. It must not reach into the process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from catsdogs import key

STAGE = [sys.executable, "-m", "catsdogs.pipeline", "train"]


def train_with_kills(kills: int, seed: int) -> list[str]:
    """The stage in the current folder, killed `kills` times by SIGKILL, then run to its end; returns all it said.

    Each time it is killed up to a tenth of a second after it has said one to six things: what it computes on,
    that it goes on, that an epoch is through. So the moment lies anywhere: first steps, mid-epoch, while saving.
    """
    chance = random.Random(seed)
    said: list[str] = []
    environment = {**os.environ, "PYTHONPATH": str(Path(key.__file__).parents[1])}
    for _ in range(kills):
        with subprocess.Popen(STAGE, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said += _lines(process.stderr, chance.randint(1, 6))
            time.sleep(chance.uniform(0, 0.1))
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "the training was through before it was killed"
            said += process.stderr.readlines()
    done = subprocess.run(STAGE, env=environment, capture_output=True, text=True, check=True)
    return [*said, *done.stderr.splitlines(keepends=True)]


def _lines(stream: IO[str], count: int) -> list[str]:
    found = [stream.readline() for _ in range(count)]
    assert all(found), found
    return found
