"""Answers to an evaluation set: those of the server, in order, with few pictures in memory at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from catsdogs.gate import scoring
from catsdogs.gate.evalset import MismatchError, Photo
from catsdogs.gate.models import Model
from catsdogs.gate.settings import Address, ModelFile
from catsdogs.server import predictor
from tests.workloads.gate import planted


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Two models of different image sizes."""
    folder, found = tmp_path_factory.mktemp("models"), []
    for plant in (planted.SERVING, planted.EQUAL):
        path = Path(folder, f"{plant.size}.pt")
        sha256 = planted.write(path, plant)
        file = ModelFile(Address("b", path.name), sha256)
        found.append(Model(file, predictor.load(path, sha256), "", ""))
    return found


def photos(count: int) -> list[tuple[Photo, bytes]]:
    random = np.random.default_rng(0)
    labels = [("cat", "dog")[number % 2] for number in range(count)]
    return [
        (Photo(f"{number}", label, ""), planted.png(planted.pixels(label, 0, random)))
        for number, label in enumerate(labels)
    ]


def test_each_model_answers_as_its_server_would(models: list[Model]) -> None:
    pictures = photos(50)

    scores = scoring.score(iter(pictures), models)

    assert [photo.name for photo in scores.photos] == [str(number) for number in range(50)]
    assert scores.labels.tolist() == [0, 1] * 25
    assert (scores.thumbs.shape, scores.thumbs.dtype) == ((50, 16, 16), np.uint8)
    for model, answers in zip(models, scores.answers, strict=True):
        served = [list(model.predictor.predict(data).probabilities.values()) for _, data in pictures]
        assert answers.tolist() == served


def test_a_picture_that_can_not_be_decoded_is_named(models: list[Model]) -> None:
    bad = (Photo("Cat/bad.jpg", "cat", ""), b"\xff\xd8\xff nothing")

    with pytest.raises(MismatchError, match=r"Cat/bad\.jpg of the evaluation set can't be decoded: "):
        scoring.score(iter([*photos(4), bad]), models)


def test_no_more_than_a_few_pictures_are_read_ahead() -> None:
    lock, alive, most = threading.Lock(), 0, 0

    def items() -> Iterator[int]:
        nonlocal alive, most
        for number in range(500):
            with lock:
                alive += 1
                most = max(most, alive)
            yield number

    for _ in scoring.ahead(items(), lambda number: number):
        with lock:
            alive -= 1

    assert most == scoring.WINDOW
