"""What a training computes on: CUDA or CPU, in bfloat16 where that is fast.
It must not know what is computed."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Device:
    """A torch device, and whether convolutions run in bfloat16 there (weights and sums stay float32)."""

    torch: torch.device
    half: bool

    def autocast(self) -> Any:
        """The context in which forward passes run."""
        return torch.autocast(self.torch.type, torch.bfloat16, enabled=self.half)

    def compiled(self, module: nn.Module) -> Any:
        """`module`, compiled on CUDA; on CPU compilation was measured to give nothing."""
        return torch.compile(module) if self.torch.type == "cuda" else module

    @property
    def name(self) -> str:
        """For the log, as in "cpu in bfloat16"."""
        return f"{self.torch.type} in {'bfloat16' if self.half else 'float32'}"


SERVED_ON = Device(torch.device("cpu"), half=False)


def choose() -> Device:
    """CUDA if there is one, else the CPU made deterministic: same seed, same weights on CPUs of one kind."""
    if torch.cuda.is_available():
        return Device(torch.device("cuda"), torch.cuda.is_bf16_supported())
    keep_freed_memory()
    torch.set_num_threads(1)  # within an operation: see replicas
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs an eighth, helps only to find bugs
    return Device(torch.device("cpu"), _fast_bfloat16())


def _fast_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself: 1.7 times as fast then, slower than float32 otherwise."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Tell glibc to keep big blocks: handing them back to the kernel at each step halves the speed."""
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(trim_threshold, 2**30)
            libc.mallopt(mmap_threshold, 2**30)
