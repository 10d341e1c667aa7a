"""What the models answer to each picture of an evaluation set, one picture at a time as the server would be asked.
It must not hold more than a few pictures, and must not judge the answers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from catsdogs import images, key
from catsdogs.gate.evalset import MismatchError, Photo
from catsdogs.gate.models import Model
from catsdogs.pipeline import duplicates
from catsdogs.server import predictor

WINDOW = 32  # pictures read ahead of the threads

Array = np.ndarray[Any, Any]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Scores:
    """N pictures: `labels` (N,), 0 cat and 1 dog; `answers`, probabilities (N, 2) of each model; gray `thumbs`,
    uint8 (N, 16, 16)."""

    photos: Sequence[Photo]
    labels: Array
    answers: Sequence[Array]
    thumbs: Array


def score(pictures: Iterable[tuple[Photo, bytes]], models: Sequence[Model]) -> Scores:
    """Decode each picture for each model and ask. Raises MismatchError for a picture that can't be decoded."""

    def ask(item: tuple[Photo, bytes]) -> tuple[Photo, Array, list[list[float]]]:
        photo, data = item
        try:
            squares = {size: images.decode(data, size) for size in {model.predictor.image_size for model in models}}
        except images.BadImage as error:
            raise MismatchError(f"{photo.name} of the evaluation set can't be decoded: {error}") from None
        first = squares[models[0].predictor.image_size].unsqueeze(0)
        rows = [
            model.predictor.forward(squares[model.predictor.image_size].unsqueeze(0))[0].tolist() for model in models
        ]
        return photo, duplicates.thumbnails(first.numpy())[0], rows

    photos, thumbs, rows = zip(*ahead(pictures, ask), strict=True)
    answers = np.array(rows, np.float64)
    labels = np.array([key.CLASSES.index(photo.label) for photo in photos])
    return Scores(photos, labels, [answers[:, index] for index in range(len(models))], np.array(thumbs))


def ahead(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """The results of `work`, in order, by as many threads as there are cores and at most WINDOW items ahead."""
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores, "judge", initializer=predictor.one_thread) as pool:
        pending: deque[Future[R]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= WINDOW:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
