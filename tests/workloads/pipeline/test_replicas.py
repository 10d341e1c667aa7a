"""Two halves of a batch give what the whole would, and share their weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from catsdogs.pipeline.device import Device
from catsdogs.pipeline.replicas import Replicas

CPU = Device(torch.device("cpu"), half=False)


@pytest.mark.parametrize("rows", [2, 3, 7, 8])
def test_halves_add_up_to_the_gradients_of_the_whole(rows: int) -> None:
    torch.manual_seed(1)
    module, batch = nn.Linear(3, 2), torch.randn(rows, 3)
    expected = torch.autograd.grad((module(batch) ** 2).sum(), list(module.parameters()))

    def loss_of(forward: Any, part: int, own: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor((forward(batch[own]) ** 2).sum())

    total = Replicas(module, CPU).backward(torch.arange(rows), loss_of)

    assert total == pytest.approx((module(batch) ** 2).sum().item())
    for found, wanted in zip(module.parameters(), expected, strict=True):
        assert found.grad is not None
        torch.testing.assert_close(found.grad, wanted)


def test_a_step_of_the_optimizer_moves_every_replica() -> None:
    module = nn.Linear(3, 2)
    replicas = Replicas(module, CPU)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    replicas.backward(torch.arange(4), lambda forward, _part, own: forward(torch.ones(len(own), 3)).sum())
    before = module.weight.detach().clone()
    optimizer.step()

    assert not torch.equal(module.weight, before)
    assert all(torch.equal(replica.get_parameter("weight"), module.weight) for replica in replicas.replicas)


def test_an_error_in_a_part_is_the_callers() -> None:
    def loss_of(forward: Any, part: int, own: torch.Tensor) -> torch.Tensor:
        raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 0"):
        Replicas(nn.Linear(3, 2), CPU).backward(torch.arange(4), loss_of)
