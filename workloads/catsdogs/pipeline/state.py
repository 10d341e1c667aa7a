"""Everything that changes while training, and how it goes into a checkpoint and comes back, mid-epoch included.
It must not train, and must not hold what follows from parameters and data alone."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from catsdogs import model as models
from catsdogs.pipeline.device import Device
from catsdogs.pipeline.recipe import RECIPES
from catsdogs.pipeline.replicas import COUNT
from catsdogs.pipeline.schedule import Schedule
from catsdogs.pipeline.workspace import PROCESSED

BETAS = (0.9, 0.99)
PARTS = ("module", "average", "optimizer", "schedule")
PLAIN = ("epoch", "batch", "loss", "steps", "seconds", "best", "history", "stopped_by")
CODE = (
    "train.py",
    "state.py",
    "recipe.py",
    "augment.py",
    "schedule.py",
    "replicas.py",
    "scoring.py",
    "device.py",
    "../model.py",
)


@dataclass
class State:
    """A training between two steps; `batch` of the current epoch's batches are done, with `loss` as their sum."""

    module: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    # Of the current epoch's augmentation, one generator for each shard.
    chance: list[torch.Generator] = field(default_factory=lambda: [torch.Generator() for _ in range(COUNT)])
    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped_by: str = "epochs"
    counted: float = field(default_factory=time.monotonic)  # until when `seconds` has counted

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.schedule.finished or self.stopped_by == "early"

    def count(self) -> None:
        """Add the time since the last call to `seconds`."""
        now = time.monotonic()
        self.seconds += now - self.counted
        self.counted = now


def begin(parameters: dict[str, Any], device: Device) -> State:
    """The state before the first step; all its chance comes from the seed."""
    torch.manual_seed(int(parameters["seed"]))
    recipe = RECIPES[parameters["architecture"]]
    module = models.build(parameters["architecture"]).to(device.torch)
    # Weight decay is for the kernels: on scales and biases it only fights the normalisation.
    groups = [
        {"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = float(parameters["learningRate"]) * recipe.rate_factor
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=BETAS)
    schedule = Schedule(rate, int(parameters["epochs"]), float(parameters["maxTrainSeconds"]), recipe.sides)
    return State(module, copy.deepcopy(module).eval(), optimizer, schedule)


def begin_epoch(state: State, seed: int, rows: int) -> torch.Tensor:
    """The order of the epoch's rows, (rows,). At its first batch the chance is set, the same after a resume."""
    own = seed * 1_000_003 + state.epoch
    if state.batch == 0:
        state.loss = 0.0
        for shard, generator in enumerate(state.chance):
            generator.manual_seed(own + (shard << 48))
    return torch.randperm(rows, generator=torch.Generator().manual_seed(own))


def snapshot(state: State) -> dict[str, Any]:
    """The content of a checkpoint."""
    parts = {name: getattr(state, name).state_dict() for name in PARTS}
    plain = {name: getattr(state, name) for name in PLAIN}
    return {**parts, **plain, "chance": [generator.get_state() for generator in state.chance]}


def restore(state: State, saved: dict[str, Any]) -> None:
    """Put a checkpoint's content into a fresh state."""
    for name in PARTS:
        getattr(state, name).load_state_dict(saved[name])
    for name in PLAIN:
        setattr(state, name, saved[name])
    for generator, value in zip(state.chance, saved["chance"], strict=True):
        generator.set_state(value)
    state.counted = time.monotonic()


def fingerprint(parameters: dict[str, Any]) -> str:
    """What a checkpoint must share with a training to be its own: arrays, parameters and code."""
    here = Path(__file__).parent
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for file in (PROCESSED / "manifest.json", *(here / name for name in CODE)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@torch.no_grad()
def average(state: State, decay: float) -> None:
    """Exponential moving average of weights and statistics: what is validated, and what is kept.

    The first steps count more (as in TensorFlow's ExponentialMovingAverage), or a training of a few batches
    would keep little but the weights it began with.
    """
    state.steps += 1
    decay = min(decay, (1 + state.steps) / (10 + state.steps))
    for kept, now in zip(state.average.state_dict().values(), state.module.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)
