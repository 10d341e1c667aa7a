"""Names that operator and pipeline must agree on for years: hashes are written out, so that a change shows."""

from __future__ import annotations

from typing import Any

import pytest

from catsdogs import key

PHOTOS = [key.RawPhoto("Cat/1.jpg", 10, "AAAAAA=="), key.RawPhoto("Dog/1.jpg", 20, "BBBBBB==")]
DEFAULTS = {
    "architecture": "SimpleCNN",
    "epochs": 150,
    "batchSize": 64,
    "learningRate": "0.002",
    "imageSize": 96,
    "seed": 1,
    "maxTrainSeconds": 600,
}
IMAGE = "registry.example/cats-dogs/trainer@sha256:" + "a" * 64


def test_raw_hash_is_this_one_in_any_order() -> None:
    expected = "99739e640514e5d03dfc751dca2b166233ad4316f5f9935ec434bc91faef2281"

    assert (key.raw_hash(PHOTOS), key.raw_hash(reversed(PHOTOS))) == (expected, expected)


@pytest.mark.parametrize(
    "changed",
    [
        key.RawPhoto("Cat/2.jpg", 10, "AAAAAA=="),
        key.RawPhoto("Cat/1.jpg", 11, "AAAAAA=="),
        key.RawPhoto("Cat/1.jpg", 10, "AAAAAB=="),
    ],
    ids=["name", "size", "content"],
)
def test_any_change_of_a_photograph_changes_the_raw_hash(changed: key.RawPhoto) -> None:
    assert key.raw_hash([changed, PHOTOS[1]]) != key.raw_hash(PHOTOS)


def test_version_is_this_one() -> None:
    assert key.version(key.raw_hash(PHOTOS), {**DEFAULTS, "epochs": 20, "imageSize": 64}, IMAGE) == "a59524bf4387"


@pytest.mark.parametrize(
    ("parameters", "image"),
    [
        ({}, IMAGE),
        ({"learningRate": "0.0020"}, IMAGE),
        ({}, IMAGE.replace("registry.example", "another.example")),
        ({}, "sha256:" + "a" * 64),
    ],
    ids=["defaults left out", "equal number", "moved image", "digest alone"],
)
def test_what_means_the_same_has_the_same_version(parameters: dict[str, Any], image: str) -> None:
    assert key.version("raw", parameters, image) == key.version("raw", DEFAULTS, IMAGE)


@pytest.mark.parametrize(
    ("raw", "parameters", "image"),
    [
        ("other", {}, IMAGE),
        ("raw", {"epochs": 21}, IMAGE),
        ("raw", {"batchSize": 63}, IMAGE),
        ("raw", {"learningRate": "0.001"}, IMAGE),
        ("raw", {"imageSize": 65}, IMAGE),
        ("raw", {"seed": 2}, IMAGE),
        ("raw", {"maxTrainSeconds": 601}, IMAGE),
        ("raw", {}, IMAGE.replace("a" * 64, "b" * 64)),
    ],
)
def test_what_differs_has_another_version(raw: str, parameters: dict[str, Any], image: str) -> None:
    assert key.version(raw, parameters, image) != key.version("raw", DEFAULTS, IMAGE)


def test_left_out_parameters_get_their_defaults() -> None:
    assert key.checked_parameters({"epochs": 3}) == {**DEFAULTS, "epochs": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "parameters.epochs: 0 is not an integer from 1 to 500"),
        ({"epochs": 501}, "parameters.epochs: 501 is not an integer from 1 to 500"),
        ({"epochs": True}, "parameters.epochs: True is not an integer from 1 to 500"),
        ({"epochs": "20"}, "parameters.epochs: '20' is not an integer from 1 to 500"),
        ({"architecture": "ResNet"}, "parameters.architecture: 'ResNet' is not one of SimpleCNN, DeepCNN"),
        ({"learningRate": 0.002}, "parameters.learningRate: 0.002 is not a decimal string like '0.002'"),
        ({"learningRate": "0.0"}, "parameters.learningRate: '0.0' is not a decimal string like '0.002'"),
        ({"learningRate": "10"}, "parameters.learningRate: '10' is not a decimal string like '0.002'"),
        ({"learningRate": "0.002\n"}, "parameters.learningRate: '0.002\\n' is not a decimal string like '0.002'"),
        (
            {"colour": 1},
            "parameters.colour: unknown; known are architecture, batchSize, epochs, imageSize, learningRate,"
            " maxTrainSeconds, seed",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_its_range(given: dict[str, Any], message: str) -> None:
    with pytest.raises(key.ParameterError) as caught:
        key.checked_parameters(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "found"),
    [("0.002", "0.002"), ("0.0020", "0.002"), ("1.0", "1"), ("0.00000001", "0.00000001"), ("9.5", "9.5")],
)
def test_learning_rate_has_one_way_to_be_written(given: str, found: str) -> None:
    assert key.checked_parameters({"learningRate": given})["learningRate"] == found


def test_a_rerun_has_a_version_of_its_own_each_time() -> None:
    image = "registry.example/trainer@sha256:" + "a" * 64
    versions = {key.version("r" * 64, {}, image, rerun) for rerun in ("", "u1", "u2")}

    assert len(versions) == 3
    assert key.version("r" * 64, {}, image) in versions


def test_paths_in_the_bucket() -> None:
    paths = [
        key.uri("b", key.RAW_PREFIX),
        key.data_prefix("abc", "ingested"),
        key.model_prefix("def"),
        key.checkpoint_prefix("def"),
    ]

    assert paths == [
        "gs://b/datasets/cats-dogs/raw/",
        "datasets/cats-dogs/abc/ingested/",
        "models/cats-dogs/def/",
        "checkpoints/cats-dogs/def/",
    ]
