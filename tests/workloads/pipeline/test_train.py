"""A training is a function of arrays, parameters and seed, ends in time, and says what is wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from catsdogs import key
from catsdogs import model as models
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import scoring, train
from catsdogs.pipeline.device import Device
from catsdogs.pipeline.preprocess import load_split
from catsdogs.pipeline.state import average, begin
from catsdogs.pipeline.workspace import (
    MODEL,
    PROCESSED,
    TRAINING,
    read_json,
    read_parameters,
    write_parameters,
)
from tests.workloads.pipeline.killing import train_with_kills

MOVING = ("timestamp", "seconds", "system")
CPU = Device(torch.device("cpu"), half=False)


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


def test_same_seed_same_weights_other_seed_other_weights(workspace: Path) -> None:
    first, second, other = trained(seed=7), trained(seed=7), trained(seed=8)

    assert timeless(second) == timeless(first)
    assert other["sha256"] != first["sha256"]
    assert (first["epochs"], first["stoppedBy"], len(first["history"])) == (4, "epochs", 4)


def test_the_time_limit_ends_a_training_with_a_model(workspace: Path) -> None:
    training = trained(epochs=500, maxTrainSeconds=1)
    module, _ = models.load(MODEL, training["sha256"])

    assert (training["stoppedBy"], training["epochs"] < 500) == ("time", True)
    assert module(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_what_never_gets_better_is_stopped_early(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, *[2.0] * 30])
    monkeypatch.setattr(train, "score", lambda *_: (next(losses), 0.5))
    monkeypatch.setattr(train, "one_step", lambda *_: None)
    training = trained(epochs=30)

    assert (training["stoppedBy"], training["bestEpoch"], training["epochs"]) == ("early", 1, 11)


def test_another_process_on_a_single_core_makes_the_same_weights(workspace: Path) -> None:
    here = trained()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        train_with_kills(0, seed=0)
    finally:
        os.sched_setaffinity(0, cores)

    assert timeless(read_json(TRAINING)) == timeless(here)


@pytest.mark.parametrize("architecture", ["SimpleCNN", "DeepCNN"])
def test_the_model_file_says_what_the_server_needs(architecture: str, workspace: Path) -> None:
    training = trained(epochs=1, architecture=architecture)
    module, metadata = models.load(MODEL, training["sha256"])
    temperature = metadata.pop("temperature")

    assert metadata == {"architecture": architecture, "imageSize": 32, "classes": ["cat", "dog"]}
    assert 0.25 <= temperature <= 4
    assert 100_000 < sum(value.numel() for value in module.parameters()) < 1_000_000


def test_the_val_accuracy_is_that_of_the_saved_file(workspace: Path) -> None:
    training = trained()
    module, _ = models.load(MODEL, training["sha256"])
    pixels, labels = load_split("val")
    hits = int((scoring.logits_of(module, pixels, CPU).argmax(dim=1) == labels).sum())

    assert training["valAccuracy"] == round(hits / len(labels), 4)


def test_the_test_split_is_not_read(workspace: Path) -> None:
    (PROCESSED / "test.npy").unlink()
    (PROCESSED / "test-labels.npy").unlink()

    assert trained(epochs=1)["epochs"] == 1


def test_a_learning_rate_that_diverges_is_named(workspace: Path) -> None:
    with pytest.raises(StageError) as caught:
        trained(learningRate="9.99999999", epochs=8)

    assert (caught.value.code, caught.value.hint) == (Exit.CONFIG_ERROR, "lower learningRate")
    assert re.fullmatch(r"training diverged in epoch \d: the (mean )?loss is (nan|inf|\d+, .*)", caught.value.message)
    assert not MODEL.exists()


def test_losses_that_are_no_numbers_end_the_training(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "augment", lambda pixels, *_: torch.full((len(pixels), 3, 32, 32), float("nan")))
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

    assert scoring.fit_temperature(logits, labels) == 1.0
    assert scoring.fit_temperature(logits * 2, labels) == 2.0


def test_a_few_steps_are_enough_to_leave_the_first_weights(workspace: Path) -> None:
    state = begin(read_parameters(), CPU)
    first = [value.clone() for value in state.average.parameters()]
    with torch.no_grad():
        for value in state.module.parameters():
            value.add_(1.0)
    for _ in range(10):
        average(state, 0.97)
    moved = [(now - before).mean().item() for now, before in zip(state.average.parameters(), first, strict=True)]

    # Of the first weights 2/11 x 3/12 x ... x 11/20 are left; by the decay alone it would be 0.74 of them.
    assert moved == pytest.approx([0.99994] * len(moved), abs=1e-5)


@pytest.mark.parametrize(
    ("share", "whole", "side"), [(0.67, 96, 64), (0.83, 96, 80), (1.0, 100, 100), (0.67, 32, 32), (0.9, 40, 32)]
)
def test_sides_are_steps_of_16_but_for_the_whole(share: float, whole: int, side: int) -> None:
    assert train.side_of(share, whole) == side
