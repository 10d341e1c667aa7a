"""What the operator tells Prometheus of runs: by name only while it is news, and nothing of deleted ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from mlops_operator.metrics import RunCollector, observe_run, stage_outcome
from tests.unit.operator.training_run_world import VERSION, at, conditions, run


def named(name: str, reason: str, ended_before: timedelta | None = None, **status: Any) -> dict[str, Any]:
    resource = run({"conditions": conditions("Unknown" if ended_before is None else "False", reason, ""), **status})
    resource["metadata"]["name"] = name
    if ended_before is not None:
        resource["status"]["completionTime"] = (datetime.now(UTC) - ended_before).isoformat()
    return resource


def test_runs_are_counted_by_reason_and_named_while_they_are_news() -> None:
    runs = [
        named("new", "Training", stage="Train", version=VERSION),
        named("ended", "OOMKilled", timedelta(hours=23), stage="Train"),
        named("old", "OOMKilled", timedelta(hours=25), stage="Train"),
        {**run(), "metadata": {**run()["metadata"], "name": "unseen"}},
    ]
    registry = CollectorRegistry()
    registry.register(RunCollector(lambda: runs))
    assert [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"] == [
        'trainingruns{namespace="team",reason=""} 1.0',
        'trainingruns{namespace="team",reason="OOMKilled"} 2.0',
        'trainingruns{namespace="team",reason="Training"} 1.0',
        f'trainingrun_info{{name="new",namespace="team",reason="Training",stage="Train",version="{VERSION}"}} 1.0',
        'trainingrun_info{name="ended",namespace="team",reason="OOMKilled",stage="Train",version=""} 1.0',
        'trainingrun_info{name="unseen",namespace="team",reason="",stage="",version=""} 1.0',
    ]
    runs.clear()
    assert b"team" not in generate_latest(registry)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_stage_and_the_end_of_a_run_are_counted_once() -> None:
    before = {"attempts": [{"number": 1, "stageSeconds": {"ingest": 40}}]}
    attempt = {"number": 1, "stageSeconds": {"ingest": 40, "preprocess": 10}, "reason": "DiskFull"}
    ending = {"startTime": at(0), "completionTime": at(50), "conditions": conditions("False", "DiskFull", "")}
    after = {"attempts": [attempt], **ending}
    ingest = counted("trainingrun_stage_seconds_count", stage="ingest", outcome="computed")
    failed = counted("trainingrun_stage_seconds_sum", stage="preprocess", outcome="failed")
    ended = counted("trainingrun_seconds_sum", outcome="DiskFull")
    observe_run(before, after)
    observe_run(after, after)
    assert counted("trainingrun_stage_seconds_count", stage="ingest", outcome="computed") == ingest
    assert counted("trainingrun_stage_seconds_sum", stage="preprocess", outcome="failed") == failed + 10
    assert counted("trainingrun_seconds_sum", outcome="DiskFull") == ended + 50


@pytest.mark.parametrize(
    ("reason", "stage", "outcome"),
    [
        ("Completed", "eda", "pulled"),
        ("Completed", "train", "computed"),
        ("Preempted", "train", "stopped"),
        ("Suspended", "train", "stopped"),
        ("OOMKilled", "train", "failed"),
        ("OOMKilled", "eda", "pulled"),
    ],
)
def test_how_a_stage_ended(reason: str, stage: str, outcome: str) -> None:
    attempt = {"number": 1, "stageSeconds": {"eda": 3, "train": 9}, "pulled": ["EDA"], "reason": reason}
    assert stage_outcome(attempt, stage) == outcome
