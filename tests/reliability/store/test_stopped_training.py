"""A training pod that is told to stop, as a Spot node does it: 15 s later it is killed, so 10 s must be enough."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from catsdogs import key
from catsdogs.pipeline.workspace import CHECKPOINT
from tests.workloads.pod.conftest import Store, pod
from tests.workloads.pod.faults import Fault, proxy

STOPS = 10
SECONDS = 10.0
FAR = Fault("slow", 0.03)  # what each request to a bucket takes


@pytest.mark.parametrize("architecture", ["SimpleCNN", "DeepCNN"])
def test_told_to_stop_it_has_saved_in_time(
    architecture: str, store: Store, drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = f"stopped-{architecture.lower()}"
    store.fill(bucket, drawings)
    run = pod(store, bucket, tmp_path / "work", architecture=architecture, imageSize=96, batchSize=64, epochs=500)
    for stage in ("ingest", "preprocess", "eda"):
        assert run.run(stage)[0] == 0
    chance, taken = random.Random(architecture), []
    with proxy(store.endpoint, lambda *_: FAR) as far:
        for _ in range(STOPS):
            process = run.start("train", STORAGE_EMULATOR_HOST=far.endpoint)
            assert process.stdout is not None
            while "epoch" not in (line := process.stdout.readline()):
                assert line, "the training ended before its first epoch"
            time.sleep(chance.uniform(0, 3))
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            log = process.communicate()[0]
            taken.append(time.monotonic() - told)
            assert process.returncode == 143, log
            here = (run.work / "repo" / CHECKPOINT).read_bytes()
            assert store.read(bucket, f"{key.checkpoint_prefix(run.version)}checkpoint.pt") == here
    with capsys.disabled():
        print(f"\n{architecture}: {STOPS} stops, saved and ended after {min(taken):.1f} to {max(taken):.1f} s")
    assert max(taken) < SECONDS
