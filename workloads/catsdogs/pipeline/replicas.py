"""A batch computed in two halves at once, each by one thread with a copy of the network that shares its weights.
It must not step an optimizer, and its sums must not depend on how many cores there are.

Against two threads within each operation: the threads meet once a step and not hundreds of times, which on shared
cores makes it many times faster, and the weights come out the same on machines with any number of cores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import nn

from catsdogs.pipeline.device import Device

COUNT = 2
Part = TypeVar("Part")
Result = TypeVar("Result")


class Replicas:
    """A network on the CPU as COUNT replicas, on CUDA as the one that it is."""

    def __init__(self, module: nn.Module, device: Device) -> None:
        self.module = module
        copies = COUNT - 1 if device.torch.type == "cpu" else 0
        self.replicas = [module, *(_sharing(module) for _ in range(copies))]
        self.forwards = [device.compiled(replica) for replica in self.replicas]
        self.pool = ThreadPoolExecutor(len(self.replicas), initializer=torch.set_num_threads, initargs=(1,))

    def backward(self, rows: torch.Tensor, loss_of: Callable[[Any, int, torch.Tensor], torch.Tensor]) -> float:
        """Put the gradients of the summed losses into the module; returns that sum.

        `loss_of(forward, part, rows)` computes the loss of a part's rows. Statistics of the normalisation are
        those of the first part.
        """
        # A single picture may have no variance to normalise by.
        parts = torch.tensor_split(rows, len(self.replicas)) if len(rows) >= 2 * len(self.replicas) else (rows,)

        def one(part: int) -> float:
            replica = self.replicas[part]
            replica.train()
            replica.zero_grad(set_to_none=True)
            loss = loss_of(self.forwards[part], part, parts[part])
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.item())

        losses = list(self.pool.map(one, range(len(parts))))
        for replica in self.replicas[1 : len(parts)]:
            for own, other in zip(self.module.parameters(), replica.parameters(), strict=True):
                if own.grad is not None and other.grad is not None:
                    own.grad += other.grad
        return sum(losses)

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """The function's results, in order, computed by the same threads."""
        return self.pool.map(function, parts)


def _sharing(module: nn.Module) -> nn.Module:
    """A copy whose weights lie in the module's own memory; gradients and buffers are its own."""
    replica = copy.deepcopy(module)
    for own, original in zip(replica.parameters(), module.parameters(), strict=True):
        own.data = original.data
    return replica
