"""The rewritten network answers as the trained one does, or is not used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from catsdogs import model
from catsdogs.server import inference


def network_of(architecture: str, *, negative: bool = False) -> nn.Module:
    """Random weights and normalisations that are far from none, as after a training."""
    torch.manual_seed(3)
    module = model.build(architecture).eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.5)
            nn.init.uniform_(layer.running_var, 0.2, 3)
            nn.init.uniform_(layer.weight, -1 if negative else 0.2, 1.5)
            nn.init.normal_(layer.bias, std=0.5)
    return module


@pytest.mark.parametrize("negative", [False, True], ids=["factors above zero", "some below"])
@pytest.mark.parametrize("size", [32, 96, 100])
@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_answers_stay_the_same(architecture: str, size: int, negative: bool) -> None:
    module = network_of(architecture, negative=negative)
    network = inference.fast(module, size)
    assert network is not module
    pictures = torch.randint(0, 256, (20, 3, size, size), dtype=torch.uint8)
    with torch.inference_mode():
        for picture in pictures.split(1):
            maps = model.normalize(picture)
            expected = model.probabilities(module(maps))
            found = model.probabilities(network(maps))
            assert torch.allclose(found, expected, rtol=0, atol=inference.TOLERANCE)
            assert found.argmax() == expected.argmax()


def test_a_network_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    module = network_of("SimpleCNN")
    monkeypatch.setattr(model._Blocks, "answer", lambda self, maps: self.head(torch.ones(1, 256)))
    forward = lambda maps: module.features(maps).mean(dim=(2, 3))[:, :2]  # noqa: E731
    monkeypatch.setattr(module, "forward", forward)
    assert inference.fast(module, 32) is module
    assert "the rewritten network differs by" in caplog.text


def test_without_the_fast_convolution_the_network_runs_as_trained(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", None)
    module = network_of("SimpleCNN")
    assert inference.fast(module, 32) is module
    assert "the network can't be rewritten and runs as trained" in caplog.text
