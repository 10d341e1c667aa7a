"""Sanity checks of an evaluation: no test photograph was trained on, and the figures are no accident.
It must not know the network: it sees arrays, names and a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from catsdogs.errors import StageError, data_error
from catsdogs.pipeline import metrics
from catsdogs.pipeline.preprocess import load_split

Array = np.ndarray[Any, Any]

SIDE = 16  # of the thumbnails that are compared, pixels
NEAR = 4.0  # root mean square distance of two thumbnails on 0..255: re-encoded copies reach 3.7, others begin at 20
FAR = 255.0  # black and white
PLAIN = 8.0  # standard deviation within a thumbnail, below which it is near to every other plain surface
CHUNK = 512  # pictures in memory at a time
SHUFFLES = 50
RIDGE = 0.1  # share of the mean variance that is added to each
LEAST_P = 0.05
SIGMAS = 4.0  # of the mean over the shuffles
HINT = "keep one of the two in the raw folder, and start a new run"


def check(photos: Sequence[dict[str, Any]], processed: dict[str, Any], matrix: list[list[int]]) -> dict[str, Any]:
    """All checks of `photos` (ingest's manifest), `processed` (its manifest; the arrays lie beside) and an outcome.

    A leak raises StageError 65, since the accuracy would be a lie. What only shows that a model is poor or an
    evaluation odd is a sentence in `warnings`: {"warnings": [], "permutationP": 0.001, ...}.
    """
    no_shared_bytes(photos)
    pixels, labels = load_split("test")
    test = np.concatenate(list(_thumbnails(pixels)))
    nearest = no_near_copies(test, {split: content["names"] for split, content in processed["splits"].items()})
    chance = {"permutationP": float(f"{metrics.chance_p(matrix):.3g}")}
    found = {**chance, **probes(test, labels.numpy()), **nearest}
    return {**found, "warnings": warnings(found)}


def no_shared_bytes(photos: Sequence[dict[str, Any]]) -> None:
    """Raise StageError 65 when the bytes of a test photograph are in another split too."""
    others = {photo["sha256"]: photo for photo in photos if photo["split"] != "test"}
    both = [photo for photo in photos if photo["split"] == "test" and photo["sha256"] in others]
    if both:
        other = others[both[0]["sha256"]]
        raise _leak(both[0]["name"], f"{other['name']} of {other['split']}", "has the same bytes as", len(both))


def no_near_copies(test: Array, names: dict[str, list[str]]) -> dict[str, Any]:
    """The smallest distance of a `test` thumbnail to one of train or val, and the names of this pair.

    The distance is the root mean square of their difference, on 0..255. Raises StageError 65 when it is below
    NEAR: a copy that was encoded, scaled or renamed.
    """
    least, twins = np.full(len(test), FAR), np.full(len(test), "", dtype=object)
    for split in ("train", "val"):
        others, row = np.array([f"{name} of {split}" for name in names[split]], dtype=object), 0
        for part in _thumbnails(load_split(split)[0]):
            distances = _distances(test, part)
            column = distances.argmin(axis=1)
            found = distances[np.arange(len(test)), column]
            nearer = found < least
            least[nearer], twins[nearer] = found[nearer], others[row + column[nearer]]
            row += len(part)
    least[test.std(axis=1) < PLAIN] = FAR
    first = int(least.argmin())
    if copies := int((least < NEAR).sum()):
        raise _leak(names["test"][first], twins[first], "is nearly the same picture as", copies)
    return {"nearestDistance": round(float(least[first]), 2), "nearestPair": [names["test"][first], twins[first]]}


def _leak(test: str, other: str, how: str, count: int) -> StageError:
    more = f" (and {count - 1} more)" if count > 1 else ""
    return data_error(f"{test} of the test split {how} {other}{more}: the accuracy would be too good", HINT)


def _thumbnails(pixels: torch.Tensor) -> Iterator[Array]:
    """float32 (at most CHUNK, 3 * SIDE * SIDE) about 0, of uint8 (N, 3, S, S)."""
    for part in torch.split(pixels, CHUNK):
        small = torch.nn.functional.adaptive_avg_pool2d(part.float(), SIDE)
        yield (small.flatten(1) - 128).numpy()


def _distances(first: Array, second: Array) -> Array:
    """(N, M) root mean square distances of rows (N, F) and (M, F)."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    distances: Array = np.sqrt(np.maximum(squares, 0) / first.shape[1])
    return distances


def shuffled(values: Array, generator: np.random.Generator) -> Array:
    """The same values in a random order."""
    mixed: Array = generator.permutation(values)
    return mixed


def probes(test: Array, labels: Array) -> dict[str, float]:
    """Balanced accuracy (mean of the recalls) on the test split of linear probes that saw the train thumbnails.

    One learned the labels: what colours and light alone tell. SHUFFLES learned labels in a random order, and
    must be at 0.5 on average: else something other than the pictures gives the labels away.
    """
    generator = np.random.default_rng(metrics.SEED)
    pixels, train_labels = load_split("train")
    truth = train_labels.numpy() * 2.0 - 1
    targets = np.stack([truth, *(shuffled(truth, generator) for _ in range(SHUFFLES))], axis=1)
    scores = _ridge(pixels, targets - targets.mean(axis=0), test)
    right = (scores > 0) == (labels == 1)[:, None]
    accuracies = (right[labels == 0].mean(axis=0) + right[labels == 1].mean(axis=0)) / 2
    return {
        "linearProbe": round(float(accuracies[0]), 4),
        "shuffledProbe": round(float(accuracies[1:].mean()), 4),
        "shuffledProbeDeviation": round(float(accuracies[1:].std(ddof=1)), 4),
    }


def _ridge(pixels: torch.Tensor, targets: Array, test: Array) -> Array:
    """Scores (N, T) of `test` (N, F) by ridge regressions on `pixels` to `targets` (M, T), one pass over them."""
    features = test.shape[1]
    products, hits, total = np.zeros((features, features)), np.zeros((features, targets.shape[1])), np.zeros(features)
    row = 0
    for part in _thumbnails(pixels):
        products += part.T @ part
        hits += part.T @ targets[row : row + len(part)]
        total += part.sum(axis=0)
        row += len(part)
    mean = total / row
    spread = products - row * np.outer(mean, mean)
    spread[np.diag_indices(features)] += RIDGE * np.trace(spread) / features
    # The targets have mean 0, so the features' mean drops out of `hits`.
    scores: Array = (test - mean) @ np.linalg.solve(spread, hits)
    return scores


def warnings(found: dict[str, Any]) -> list[str]:
    """What a person should know before trusting the figures, a sentence each."""
    said = []
    if found["permutationP"] >= LEAST_P:
        said.append(f"not better than chance: labels dealt out at random do as well with p = {found['permutationP']}")
    allowed = SIGMAS * found["shuffledProbeDeviation"] / SHUFFLES**0.5
    if abs(found["shuffledProbe"] - 0.5) > allowed:
        said.append(
            f"probes of shuffled labels score {found['shuffledProbe']}, not 0.5: "
            "something other than the pictures gives the labels away"
        )
    return said
