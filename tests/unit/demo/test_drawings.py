"""The drawn set is the same everywhere, says what it is, and cannot be told apart by colour alone."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from demo.drawings import COMMENT, draw


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder, 400, seed=1)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.jpg"))
    }


def test_the_same_seed_gives_the_same_bytes_and_more_drawings_begin_alike(tmp_path: Path, drawn: Path) -> None:
    draw(tmp_path, 7, seed=1)

    few, many = digests(tmp_path), digests(drawn)
    assert {name.split("/")[0]: len(list((tmp_path / name.split("/")[0]).iterdir())) for name in few} == {
        "Cat": 4,
        "Dog": 3,
    }
    assert few == {name: many[name] for name in few}


def test_another_seed_gives_other_drawings(tmp_path: Path, drawn: Path) -> None:
    draw(tmp_path, 6, seed=2)

    assert not set(digests(tmp_path).values()) & set(digests(drawn).values())


def test_no_two_drawings_are_alike(drawn: Path) -> None:
    assert len(set(digests(drawn).values())) == 400


def test_every_file_says_that_it_is_a_drawing(drawn: Path) -> None:
    for file in drawn.rglob("*.jpg"):
        with Image.open(file) as picture:
            assert picture.info["comment"] == COMMENT.encode()
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert min(picture.size) >= 150


def test_one_drawing_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 drawings"):
        draw(tmp_path, 1)


def test_mean_colour_tells_cats_from_dogs_in_fewer_than_six_cases_of_ten(drawn: Path) -> None:
    cats, dogs = mean_colours(drawn / "Cat"), mean_colours(drawn / "Dog")
    half = len(cats) // 2
    train = np.concatenate([cats[:half], dogs[:half]])
    test = np.concatenate([cats[half:], dogs[half:]])
    labels = np.repeat([0.0, 1.0], half)

    weights = logistic_regression(train, labels)
    accuracy = np.mean((with_bias(test) @ weights > 0) == (labels > 0.5))

    assert accuracy < 0.6


def test_the_colour_classifier_would_find_a_class_that_is_a_colour() -> None:
    rng = np.random.default_rng(0)
    colours = rng.normal([[0, 0, 0]] * 100 + [[2, 0, 0]] * 100, 0.5)
    labels = np.repeat([0.0, 1.0], 100)

    weights = logistic_regression(colours, labels)

    assert np.mean((with_bias(colours) @ weights > 0) == (labels > 0.5)) > 0.9


def mean_colours(folder: Path) -> NDArray[np.float64]:
    """(N, 3) channel means on a 0..1 scale."""
    rows = []
    for file in sorted(folder.glob("*.jpg")):
        with Image.open(file) as picture:
            rows.append(np.asarray(picture).mean(axis=(0, 1)) / 255)
    return np.stack(rows)


def with_bias(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([rows - 0.5, np.ones((len(rows), 1))], axis=1)


def logistic_regression(rows: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (4,) found by Newton's method with a little ridge: Bishop, PRML, section 4.3.3."""
    inputs = with_bias(rows)
    weights = np.zeros(inputs.shape[1])
    for _ in range(20):
        guess = 1 / (1 + np.exp(-inputs @ weights))
        hessian = (inputs * (guess * (1 - guess))[:, None]).T @ inputs + 1e-3 * np.eye(len(weights))
        weights -= np.linalg.solve(hessian, inputs.T @ (guess - labels) + 1e-3 * weights)
    return weights
