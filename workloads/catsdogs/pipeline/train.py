"""Train: uint8 arrays to model.pt, chosen on the val split, within a time limit, resumable after each epoch.
It must not read the test split, and all its chance comes from the seed: same key, same weights on CPU."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import json
import math
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from catsdogs import key
from catsdogs import model as models
from catsdogs.errors import Exit, StageError, config_error
from catsdogs.pipeline import resources
from catsdogs.pipeline.augment import augment
from catsdogs.pipeline.checkpoint import Checkpoints
from catsdogs.pipeline.preprocess import load_split
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.schedule import Schedule
from catsdogs.pipeline.workspace import MODEL, PROCESSED, TRAINING, read_parameters, write_json

LABEL_SMOOTHING = 0.05
WEIGHT_DECAY = 0.02
EMA_DECAY = 0.97
BETAS = (0.9, 0.99)
PLAIN = ("epoch", "steps", "seconds", "best", "history", "stopped_by")  # what a checkpoint holds as it is


@dataclass
class State:
    """Everything that changes while training; what a checkpoint holds."""

    module: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped_by: str = "epochs"


def run() -> None:
    """The stage: data/processed to model/model.pt and model/training.json."""
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _stop)
    parameters = read_parameters()
    progress = Progress("train")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs an eighth, helps only to find bugs
    checkpoints = Checkpoints(fingerprint(parameters), progress)
    state = begin(parameters)
    if saved := checkpoints.latest():
        restore(state, saved)
        progress.say(f"goes on after epoch {state.epoch}")
    try:
        fit(state, parameters, checkpoints, progress)
    except KeyboardInterrupt:
        checkpoints.flush()
        raise StageError(
            Exit.TERMINATED, f"stopped after epoch {state.epoch}", "run again: it goes on from the checkpoint"
        ) from None
    finish(state, parameters)
    checkpoints.remove_local()


def _stop(signum: int, frame: Any) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def keep_freed_memory() -> None:
    """Tell glibc to keep big blocks: handing them back to the kernel at each step halves the speed."""
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(trim_threshold, 2**30)
        libc.mallopt(mmap_threshold, 2**30)


def fingerprint(parameters: dict[str, Any]) -> str:
    """What a checkpoint must share with a training to be its own: arrays, parameters and code."""
    here = Path(__file__).parent
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for file in (PROCESSED / "manifest.json", here / "train.py", here / "augment.py", here.parent / "model.py"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def begin(parameters: dict[str, Any]) -> State:
    """The state before the first step."""
    torch.manual_seed(int(parameters["seed"]))
    module = models.build(parameters["architecture"])
    # Weight decay is for the kernels: on scales and biases it only fights the normalisation.
    groups = [
        {"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = float(parameters["learningRate"])
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=BETAS)
    schedule = Schedule(rate, int(parameters["epochs"]), float(parameters["maxTrainSeconds"]))
    return State(module, copy.deepcopy(module).eval(), optimizer, schedule)


def restore(state: State, saved: dict[str, Any]) -> None:
    """Put a checkpoint's content into a fresh state."""
    for name in ("module", "average", "optimizer", "schedule"):
        getattr(state, name).load_state_dict(saved[name])
    for name in PLAIN:
        setattr(state, name, saved[name])


def snapshot(state: State) -> dict[str, Any]:
    """The content of a checkpoint."""
    parts = {name: getattr(state, name).state_dict() for name in ("module", "average", "optimizer", "schedule")}
    plain = {name: getattr(state, name) for name in PLAIN}
    return {**parts, **plain}


def fit(state: State, parameters: dict[str, Any], checkpoints: Checkpoints, progress: Progress) -> None:
    """Epochs until the schedule is through, the time is up, or the val loss has long stopped falling."""
    pixels, labels = load_split("train")
    val_pixels, val_labels = load_split("val")
    while not state.schedule.finished and state.stopped_by != "early":
        started = time.monotonic()
        torch.manual_seed(int(parameters["seed"]) * 1_000_003 + state.epoch)  # dropout, the same after a resume
        loss = one_epoch(state, pixels, labels, parameters, started)
        val_loss, accuracy = score(state.average, val_pixels, val_labels)
        state.epoch += 1
        state.seconds += time.monotonic() - started
        keep_best(state, val_loss, accuracy)
        state.schedule.epoch_done(state.seconds)
        record(state, loss, val_loss, accuracy, progress)
        state.stopped_by = why_stop(state, int(parameters["epochs"]))
        checkpoints.save(snapshot(state))


def one_epoch(
    state: State, pixels: torch.Tensor, labels: torch.Tensor, parameters: dict[str, Any], started: float
) -> float:
    """One pass over the train split in an order of its own; returns the mean loss. Stops early out of time."""
    generator = torch.Generator().manual_seed(int(parameters["seed"]) * 1_000_003 + state.epoch)
    order = torch.randperm(len(labels), generator=generator)
    # A last batch of one has no variance to normalise by.
    batches = [part for part in torch.split(order, int(parameters["batchSize"])) if len(part) > 1 or len(order) == 1]
    criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    state.module.train()
    total = 0.0
    for done, chosen in enumerate(batches):
        for group in state.optimizer.param_groups:
            group["lr"] = state.schedule.rate_at(done / len(batches))
        loss = criterion(state.module(augment(pixels[chosen], generator)), labels[chosen])
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        _average(state)
        total += float(loss.item())
        if not math.isfinite(total):
            raise config_error(
                f"training diverged in epoch {state.epoch + 1}: the loss is {total}", "lower learningRate"
            )
        if state.schedule.out_of_time(state.seconds + time.monotonic() - started):
            return total / (done + 1)
    return total / len(batches)


@torch.no_grad()
def _average(state: State) -> None:
    """Exponential moving average of weights and statistics: what is validated, and what is kept.

    The first steps count more (as in TensorFlow's ExponentialMovingAverage), or a training of a few batches
    would keep little but the weights it began with.
    """
    state.steps += 1
    decay = min(EMA_DECAY, (1 + state.steps) / (10 + state.steps))
    for kept, now in zip(state.average.state_dict().values(), state.module.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


@torch.inference_mode()
def logits_of(module: nn.Module, pixels: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """Logits (N, 2) of uint8 pixels (N, 3, S, S) in eval mode."""
    module.eval()
    return torch.cat([module(models.normalize(part)) for part in torch.split(pixels, batch)])


def score(module: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross entropy and accuracy (0..1) on a split."""
    logits = logits_of(module, pixels)
    loss = float(nn.functional.cross_entropy(logits, labels).item())
    return loss, (logits.argmax(dim=1) == labels).double().mean().item()


def keep_best(state: State, val_loss: float, accuracy: float) -> None:
    """Remember the averaged weights when the val loss is the lowest so far."""
    if not state.best or val_loss < state.best["valLoss"]:
        weights = {name: value.clone() for name, value in state.average.state_dict().items()}
        state.best = {"valLoss": val_loss, "valAccuracy": accuracy, "epoch": state.epoch, "weights": weights}


def why_stop(state: State, epochs: int) -> str:
    """`epochs`, `time` when the limit cut or shortened the schedule, `early` when patience is over."""
    if state.epoch - state.best["epoch"] >= max(8, epochs // 3) and not state.schedule.finished:
        return "early"
    return "time" if state.schedule.shortened else "epochs"


def record(state: State, loss: float, val_loss: float, accuracy: float, progress: Progress) -> None:
    """Add the epoch to the history, the progress file and the log."""
    entry = {
        "epoch": state.epoch,
        "trainLoss": round(loss, 5),
        "valLoss": round(val_loss, 5),
        "valAccuracy": round(accuracy, 5),
        "learningRate": state.optimizer.param_groups[0]["lr"],
        "seconds": round(state.seconds, 2),
        "timestamp": int(time.time() * 1000),
        "system": resources.sample(),
    }
    state.history.append(entry)
    epochs = state.schedule.epochs
    progress.report(
        state.epoch,
        epochs,
        at_once=True,
        epoch=state.epoch,
        epochs=epochs,
        valAccuracy=round(accuracy, 4),
        trainLoss=round(loss, 4),
        etaSeconds=round(state.seconds / state.epoch * (epochs - state.epoch)),
    )
    progress.say(f"epoch {state.epoch}/{epochs}: loss {loss:.3f}, val {val_loss:.3f}, accuracy {accuracy:.3f}")


def finish(state: State, parameters: dict[str, Any]) -> None:
    """Write the best weights with their temperature, and the history."""
    state.average.load_state_dict(state.best["weights"])
    pixels, labels = load_split("val")
    metadata = {
        "architecture": parameters["architecture"],
        "imageSize": parameters["imageSize"],
        "classes": list(key.CLASSES),
        "temperature": fit_temperature(logits_of(state.average, pixels), labels),
    }
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    sha256 = models.save(MODEL, state.average, metadata)
    summary = {
        "epochs": state.epoch,
        "bestEpoch": state.best["epoch"],
        "valAccuracy": round(state.best["valAccuracy"], 4),
        "stoppedBy": state.stopped_by,
        "seconds": round(state.seconds, 1),
    }
    write_json(TRAINING, {**summary, "sha256": sha256, "history": state.history})


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The divisor of the logits, 0.25 to 4, with the lowest val loss (Guo et al. 2017, temperature scaling)."""
    candidates = [round(2 ** (exponent / 16), 4) for exponent in range(-32, 33)]
    losses = [nn.functional.cross_entropy(logits / value, labels).item() for value in candidates]
    return candidates[losses.index(min(losses))]
