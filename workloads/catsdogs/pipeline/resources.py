"""What the training process uses of its machine, sampled when asked: CPU and memory, for the curves in MLflow.
It must not start threads or import torch: a sample costs less than a millisecond, and nothing in between."""

from __future__ import annotations

import os

import psutil

_PROCESS = psutil.Process()
_PROCESS.cpu_percent()  # the first sample is of the time since now


def sample() -> dict[str, float]:
    """CPU of this process since the last sample, in percent of all cores, and its and the machine's memory now.

    The names are MLflow's, after "system/". Megabytes are of 1,000,000 bytes.
    """
    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": round(_PROCESS.cpu_percent() / (os.cpu_count() or 1), 1),
        "process_memory_megabytes": round(_PROCESS.memory_info().rss / 1e6, 1),
        "system_memory_usage_percentage": memory.percent,
    }
