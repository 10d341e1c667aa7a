"""A training that is killed again and again: the long form of tests/workloads/pipeline/test_resume.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from catsdogs.pipeline.workspace import MODEL, TRAINING, read_json
from tests.workloads.pipeline.killing import train_with_kills
from tests.workloads.pipeline.test_train import timeless, trained

KILLS = 20


@pytest.mark.parametrize("architecture", ["SimpleCNN", "DeepCNN"])
def test_killed_twenty_times_it_ends_with_the_same_weights(architecture: str, workspace: Path) -> None:
    whole = trained(epochs=200, architecture=architecture)
    MODEL.unlink()

    said = train_with_kills(KILLS, seed=20)

    assert sum("goes on after epoch" in line for line in said) >= KILLS // 2
    assert timeless(read_json(TRAINING)) == timeless(whole)
