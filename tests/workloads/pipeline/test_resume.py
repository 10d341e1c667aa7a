"""A training that is stopped, killed or out of disk goes on from its checkpoint and ends with the same weights."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import train
from catsdogs.pipeline.state import State
from catsdogs.pipeline.workspace import CHECKPOINT, MODEL, TRAINING, read_json
from tests.workloads.pipeline.killing import train_with_kills
from tests.workloads.pipeline.test_train import timeless, trained

STEPS = 6  # of an epoch: 84 drawings in batches of 16


def stopping_at(steps: int, patch: pytest.MonkeyPatch) -> None:
    """From now on the process gets SIGTERM within this step of the training."""
    one_step = train.one_step

    def step(state: State, *rest: Any) -> None:
        one_step(state, *rest)
        if state.steps == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(train, "one_step", step)


def stopped(steps: int, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> StageError:
    """How the stage ends that is told to stop within this step."""
    with monkeypatch.context() as patch:
        stopping_at(steps, patch)
        with pytest.raises(StageError) as caught:
            trained(**parameters)
    return caught.value


@pytest.mark.parametrize("architecture", ["SimpleCNN", "DeepCNN"])
def test_a_stopped_training_goes_on_within_the_epoch_and_ends_with_the_same_weights(
    architecture: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(architecture=architecture)
    MODEL.unlink()

    error = stopped(STEPS + 2, monkeypatch)

    assert (error.code, error.message) == (Exit.TERMINATED, "stopped in epoch 2, after 2 of 6 batches")
    assert (CHECKPOINT.exists(), MODEL.exists()) == (True, False)
    train.run()
    assert timeless(read_json(TRAINING)) == timeless(whole)
    assert not CHECKPOINT.exists()


def test_told_to_stop_in_its_last_step_it_ends_as_ever(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained()
    with monkeypatch.context() as patch:
        stopping_at(4 * STEPS, patch)
        last = trained()

    assert timeless(last) == timeless(whole)


def test_killed_four_times_it_ends_with_the_same_weights(workspace: Path) -> None:
    whole = trained(epochs=40)
    MODEL.unlink()

    said = train_with_kills(4, seed=1)

    assert any("goes on after epoch" in line for line in said)
    assert timeless(read_json(TRAINING)) == timeless(whole)


def test_a_long_epoch_is_saved_on_the_way(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, batches = trained(), []
    monkeypatch.setattr(train, "SAVE_SECONDS", 0.0)
    save = train.Checkpoints.save
    monkeypatch.setattr(
        train.Checkpoints, "save", lambda self, content: (batches.append(content["batch"]), save(self, content))
    )

    assert timeless(trained()) == timeless(whole)
    assert batches == [1, 2, 3, 4, 5, 0] * 4


@pytest.mark.parametrize("left", ["of other parameters", "cut off", "changed in one byte", "empty"])
def test_a_checkpoint_that_does_not_fit_is_left_aside(
    left: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = trained(seed=3)
    stopped(STEPS, monkeypatch, seed=4 if left == "of other parameters" else 3)
    data = CHECKPOINT.read_bytes()
    middle = len(data) // 2
    changed = {
        "cut off": data[:1000],
        "changed in one byte": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
    }
    CHECKPOINT.write_bytes(changed.get(left, data))

    assert timeless(trained(seed=3)) == timeless(whole)
    said = capfd.readouterr().err
    assert ("model/checkpoint.pt is damaged and is left aside" in said) == (left in changed)


@pytest.mark.parametrize("file", [CHECKPOINT.with_suffix(".partial"), MODEL], ids=["checkpoint", "model"])
def test_a_full_disk_is_said_and_nothing_is_lost(file: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained()
    MODEL.unlink()
    stopped(STEPS + 1, monkeypatch)
    file.symlink_to("/dev/full")  # refuses every byte, as a full disk does
    with pytest.raises(StageError) as caught:
        train.run()

    assert (caught.value.code, caught.value.message) == (
        Exit.DISK_FULL,
        f"the disk is full: no space left for {file}",
    )
    assert (CHECKPOINT.exists(), MODEL.exists()) == (True, False)
    train.run()
    assert timeless(read_json(TRAINING)) == timeless(whole)
