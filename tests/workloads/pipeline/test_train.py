"""A training is a function of arrays, parameters and seed: the same twice, and the same with a stop in between."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from catsdogs import key
from catsdogs import model as models
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import train
from catsdogs.pipeline.checkpoint import Checkpoints
from catsdogs.pipeline.workspace import (
    CHECKPOINT,
    MODEL,
    PROCESSED,
    TRAINING,
    read_json,
    read_parameters,
    write_parameters,
)

MOVING = ("timestamp", "seconds", "system")


def trained(**parameters: Any) -> dict[str, Any]:
    """training.json after the stage ran with these parameters instead of those of the workspace."""
    write_parameters(key.checked_parameters({**read_parameters(), **parameters}))
    train.run()
    content: dict[str, Any] = read_json(TRAINING)
    return content


def timeless(training: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one run to the next by nature."""
    history = [{name: value for name, value in entry.items() if name not in MOVING} for entry in training["history"]]
    return {name: value for name, value in training.items() if name not in MOVING} | {"history": history}


def stopping_after(epochs: int, patch: pytest.MonkeyPatch) -> None:
    """From now on the process gets SIGTERM when the checkpoint of this epoch is written."""
    save = Checkpoints.save

    def saved(self: Checkpoints, content: dict[str, Any]) -> None:
        save(self, content)
        if content["epoch"] == epochs:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Checkpoints, "save", saved)


def test_same_seed_same_weights_other_seed_other_weights(workspace: Path) -> None:
    first, second, other = trained(seed=7), trained(seed=7), trained(seed=8)

    assert timeless(second) == timeless(first)
    assert other["sha256"] != first["sha256"]
    assert (first["epochs"], first["stoppedBy"], len(first["history"])) == (4, "epochs", 4)


@pytest.mark.parametrize("epochs", [2, 4], ids=["in between", "after the last epoch"])
def test_a_stopped_training_goes_on_and_ends_with_the_same_weights(
    epochs: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained()
    MODEL.unlink()
    with monkeypatch.context() as patch:
        stopping_after(epochs, patch)
        with pytest.raises(StageError) as caught:
            train.run()

    assert (caught.value.code, caught.value.message) == (Exit.TERMINATED, f"stopped after epoch {epochs}")
    assert (CHECKPOINT.exists(), MODEL.exists()) == (True, False)
    train.run()
    assert timeless(read_json(TRAINING)) == timeless(whole)
    assert not CHECKPOINT.exists()


@pytest.mark.parametrize("left", ["of other parameters", "damaged"])
def test_a_checkpoint_that_does_not_fit_is_left_aside(
    left: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(seed=3)
    with monkeypatch.context() as patch:
        stopping_after(1, patch)
        with pytest.raises(StageError):
            trained(seed=4)
    if left == "damaged":
        CHECKPOINT.write_bytes(CHECKPOINT.read_bytes()[:1000])

    assert timeless(trained(seed=3)) == timeless(whole)


def test_the_time_limit_ends_a_training_with_a_model(workspace: Path) -> None:
    training = trained(epochs=500, maxTrainSeconds=1)
    module, _ = models.load(MODEL, training["sha256"])

    assert (training["stoppedBy"], training["epochs"] < 500) == ("time", True)
    assert module(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_what_never_gets_better_is_stopped_early(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, *[2.0] * 30])
    monkeypatch.setattr(train, "score", lambda *_: (next(losses), 0.5))
    monkeypatch.setattr(train, "one_epoch", lambda *_: 1.0)
    training = trained(epochs=30)

    assert (training["stoppedBy"], training["bestEpoch"], training["epochs"]) == ("early", 1, 11)


def test_the_model_file_says_what_the_server_needs(workspace: Path) -> None:
    training = trained(epochs=1)
    _, metadata = models.load(MODEL, training["sha256"])
    temperature = metadata.pop("temperature")

    assert metadata == {"architecture": "SimpleCNN", "imageSize": 32, "classes": ["cat", "dog"]}
    assert 0.25 <= temperature <= 4


def test_the_test_split_is_not_read(workspace: Path) -> None:
    (PROCESSED / "test.npy").unlink()
    (PROCESSED / "test-labels.npy").unlink()

    assert trained(epochs=1)["epochs"] == 1


def test_a_training_that_diverges_names_the_parameter(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "augment", lambda pixels, _: torch.full((len(pixels), 3, 32, 32), float("nan")))
    with pytest.raises(StageError) as caught:
        trained()

    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        Exit.CONFIG_ERROR,
        "training diverged in epoch 1: the loss is nan",
        "lower learningRate",
    )


def test_the_last_batch_is_never_a_single_picture(workspace: Path) -> None:
    rows = len(np.load(PROCESSED / "train-labels.npy"))

    assert trained(epochs=1, batchSize=rows - 1)["epochs"] == 1


def test_the_temperature_undoes_an_exaggeration() -> None:
    labels = torch.tensor([0, 1] * 50)
    honest = torch.where(torch.arange(100) % 10 < 8, 1.0, -1.0) * (labels * 2 - 1)  # right in 8 of 10
    logits = torch.stack((-honest, honest), dim=1) * 0.693  # log(0.8 / 0.2) / 2

    assert train.fit_temperature(logits, labels) == 1.0
    assert train.fit_temperature(logits * 2, labels) == 2.0


def test_a_few_steps_are_enough_to_leave_the_first_weights(workspace: Path) -> None:
    state = train.begin(read_parameters())
    first = [value.clone() for value in state.average.parameters()]
    with torch.no_grad():
        for value in state.module.parameters():
            value.add_(1.0)
    for _ in range(10):
        train._average(state)
    moved = [(now - before).mean().item() for now, before in zip(state.average.parameters(), first, strict=True)]

    # Of the first weights 2/11 x 3/12 x ... x 11/20 are left; by EMA_DECAY alone it would be 0.74 of them.
    assert moved == pytest.approx([0.99994] * len(moved), abs=1e-5)
