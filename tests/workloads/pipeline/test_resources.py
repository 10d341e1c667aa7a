"""What a training uses of its machine: of this very process, in the units that MLflow shows."""

from __future__ import annotations

import time

import psutil
import pytest

from catsdogs.pipeline import resources


def test_a_sample_is_of_this_process_since_the_last_one() -> None:
    resources.sample()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    busy = resources.sample()

    assert busy.keys() == {
        "cpu_utilization_percentage",
        "process_memory_megabytes",
        "system_memory_usage_percentage",
    }
    assert 0 < busy["cpu_utilization_percentage"] <= 101  # of all cores
    assert busy["process_memory_megabytes"] == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.1)
    assert 0 < busy["system_memory_usage_percentage"] < 100


def test_each_epoch_has_one(workspace: object) -> None:
    from catsdogs.pipeline import train
    from catsdogs.pipeline.workspace import TRAINING, read_json

    train.run()
    assert [entry["system"].keys() for entry in read_json(TRAINING)["history"]] == [resources.sample().keys()] * 4
