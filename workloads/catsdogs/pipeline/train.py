"""Train: uint8 arrays to model.pt, chosen on the val split, within a time limit, resumable at any moment.
It must not read the test split, and all its chance comes from the seed: same key, same weights on CPU."""

from __future__ import annotations

import math
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from catsdogs import key
from catsdogs import model as models
from catsdogs.errors import Exit, StageError, config_error
from catsdogs.pipeline import resources
from catsdogs.pipeline.augment import augment
from catsdogs.pipeline.checkpoint import Checkpoints, enough_disk
from catsdogs.pipeline.device import SERVED_ON, Device, choose
from catsdogs.pipeline.preprocess import load_split
from catsdogs.pipeline.progress import Progress
from catsdogs.pipeline.recipe import RECIPES, Recipe
from catsdogs.pipeline.replicas import Replicas
from catsdogs.pipeline.scoring import fit_temperature, logits_of, measured
from catsdogs.pipeline.state import State, average, begin, begin_epoch, fingerprint, restore, snapshot
from catsdogs.pipeline.workspace import MODEL, TRAINING, read_parameters, write_json

SAVE_SECONDS = 30.0  # within a long epoch
DIVERGED = 10.0  # mean loss of an epoch from which no training was seen to come back


@dataclass(frozen=True)
class Training:
    """What does not change while training."""

    parameters: dict[str, Any]
    recipe: Recipe
    device: Device
    checkpoints: Checkpoints
    progress: Progress
    stop: threading.Event


def run() -> None:
    """The stage: data/processed to model/model.pt and model/training.json.

    Raises StageError 143 when told to stop (all but the current step is kept), 78 when the loss diverges, 74 when
    the disk is full.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    parameters, progress, device = read_parameters(), Progress("train"), choose()
    checkpoints = Checkpoints(fingerprint(parameters), progress)
    state = begin(parameters, device)
    progress.say(f"{parameters['architecture']} on {device.name}")
    if saved := checkpoints.latest():
        restore(state, saved)
        progress.say(f"goes on after epoch {state.epoch}, batch {state.batch}")
    fit(state, Training(parameters, RECIPES[parameters["architecture"]], device, checkpoints, progress, stop))
    finish(state, parameters)
    checkpoints.remove_local()


def fit(state: State, training: Training) -> None:
    """Epochs until the schedule is through, the time is up, or the val loss has long stopped falling."""
    pixels, labels = load_split("train")
    val_pixels, val_labels = load_split("val")
    replicas = Replicas(state.module, training.device)
    while not state.finished:
        loss = one_epoch(state, replicas, pixels, labels, training)
        if loss > DIVERGED:
            raise diverged(state.epoch + 1, f"the mean loss is {loss:.0f}, that of guessing would be 0.7")
        val_loss, accuracy = score(state.average, val_pixels, val_labels, training.device, replicas)
        side = side_of(state.schedule.side, pixels.shape[-1])
        state.epoch += 1
        state.batch = 0
        state.count()
        state.schedule.epoch_done(state.seconds)
        keep_best(state, val_loss, accuracy)
        record(state, loss, side, val_loss, accuracy, training.progress)
        state.stopped_by = why_stop(state, int(training.parameters["epochs"]))
        training.checkpoints.save(snapshot(state))


def one_epoch(
    state: State, replicas: Replicas, pixels: torch.Tensor, labels: torch.Tensor, training: Training
) -> float:
    """The rest of one pass over the train split; returns the mean loss. Stops early out of time.

    Raises StageError 143 between two steps once told to stop, with the state saved.
    """
    order = begin_epoch(state, int(training.parameters["seed"]), len(labels))
    size = int(training.parameters["batchSize"])
    # A last batch of one has no variance to normalise by.
    batches = [part for part in torch.split(order, size) if len(part) > 1 or len(order) == 1]
    saved = state.seconds
    for rows in batches[state.batch :]:
        if training.stop.is_set():
            stopped(state, training, len(batches))
        for group in state.optimizer.param_groups:
            group["lr"] = state.schedule.rate_at(state.batch / len(batches))
        one_step(state, replicas, pixels, labels, rows, training)
        state.batch += 1
        state.count()
        if state.schedule.out_of_time(state.seconds):
            break
        if state.seconds - saved > SAVE_SECONDS and state.batch < len(batches):
            saved = state.seconds
            training.checkpoints.save(snapshot(state))
    return state.loss / max(state.batch, 1)


def one_step(
    state: State, replicas: Replicas, pixels: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor, training: Training
) -> None:
    """One batch, which holds these rows of the arrays."""
    device, smoothing = training.device, training.recipe.label_smoothing
    side = side_of(state.schedule.side, pixels.shape[-1])

    def loss_of(forward: Any, part: int, own: torch.Tensor) -> torch.Tensor:
        batch = augment(pixels[own].to(device.torch), state.chance[part], side)
        with device.autocast():
            logits = forward(batch)
        wanted = labels[own].to(device.torch)
        loss = nn.functional.cross_entropy(logits.float(), wanted, reduction="sum", label_smoothing=smoothing)
        return loss / len(rows)

    state.loss += replicas.backward(rows, loss_of)
    state.optimizer.step()
    average(state, training.recipe.average_decay)
    if not math.isfinite(state.loss):
        raise diverged(state.epoch + 1, f"the loss is {state.loss}")


def side_of(share: float, whole: int) -> int:
    """Pixels a side that are trained on: about `share` of the whole, in steps of 16, at least 32."""
    return whole if share == 1.0 else min(whole, max(32, round(share * whole / 16) * 16))


def stopped(state: State, training: Training, batches: int) -> None:
    """Save what there is, here and in the bucket, and raise StageError 143."""
    training.checkpoints.save(snapshot(state))
    training.checkpoints.flush()
    raise StageError(
        Exit.TERMINATED,
        f"stopped in epoch {state.epoch + 1}, after {state.batch} of {batches} batches",
        "run again: it goes on from the checkpoint",
    )


def diverged(epoch: int, what: str) -> StageError:
    """Weights or losses that are no numbers any more."""
    return config_error(f"training diverged in epoch {epoch}: {what}", "lower learningRate")


def score(
    module: nn.Module, pixels: torch.Tensor, labels: torch.Tensor, device: Device, replicas: Replicas
) -> tuple[float, float]:
    """Mean cross entropy and accuracy (0..1) on a split."""
    parts = replicas.map(
        lambda part: logits_of(module, part, device), torch.tensor_split(pixels, len(replicas.replicas))
    )
    return measured(torch.cat(list(parts)), labels)


def keep_best(state: State, val_loss: float, accuracy: float) -> None:
    """Remember the averaged weights when the val loss is the lowest so far. Raises StageError 78 for no number."""
    if not math.isfinite(val_loss):
        raise diverged(state.epoch, f"the val loss is {val_loss}")
    if not state.best or val_loss < state.best["valLoss"]:
        weights = {name: value.clone() for name, value in state.average.state_dict().items()}
        state.best = {"valLoss": val_loss, "valAccuracy": accuracy, "epoch": state.epoch, "weights": weights}


def why_stop(state: State, epochs: int) -> str:
    """`epochs`, `time` when the limit cut or shortened the schedule, `early` when patience is over."""
    if state.epoch - state.best["epoch"] >= max(8, epochs // 3) and not state.schedule.finished:
        return "early"
    return "time" if state.schedule.shortened else "epochs"


def record(state: State, loss: float, side: int, val_loss: float, accuracy: float, progress: Progress) -> None:
    """Add the epoch to the history, the progress file and the log."""
    entry = {
        "epoch": state.epoch,
        "trainLoss": round(loss, 5),
        "valLoss": round(val_loss, 5),
        "valAccuracy": round(accuracy, 5),
        "learningRate": state.optimizer.param_groups[0]["lr"],
        "side": side,
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
        etaSeconds=round(state.schedule.seconds_left(state.seconds)),
    )
    progress.say(f"epoch {state.epoch}/{epochs}: loss {loss:.3f}, val {val_loss:.3f}, accuracy {accuracy:.3f}")


def finish(state: State, parameters: dict[str, Any]) -> None:
    """Write the best weights with their temperature, and the history; measured as served, on CPU in float32."""
    state.average.load_state_dict(state.best["weights"])
    pixels, labels = load_split("val")
    logits = logits_of(state.average.cpu(), pixels, SERVED_ON)
    metadata = {
        "architecture": parameters["architecture"],
        "imageSize": parameters["imageSize"],
        "classes": list(key.CLASSES),
        "temperature": fit_temperature(logits, labels),
    }
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    with enough_disk(MODEL):
        sha256 = models.save(MODEL, state.average, metadata)
    summary = {
        "epochs": state.epoch,
        "bestEpoch": state.best["epoch"],
        "valAccuracy": round(measured(logits, labels)[1], 4),
        "stoppedBy": state.stopped_by,
        "seconds": round(state.seconds, 1),
    }
    write_json(TRAINING, {**summary, "sha256": sha256, "history": state.history})
