"""What the operator tells Prometheus: runs by name only while they are news, and nothing of what was deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.utils import floatToGoString

from mlops_operator.metrics import RunCollector, ServerCollector, observe_run, stage_outcome
from tests.unit.operator.training_run_world import VERSION, at, conditions, run


def named(name: str, reason: str, ended_before: timedelta | None = None, **status: Any) -> dict[str, Any]:
    resource = run({"conditions": conditions("Unknown" if ended_before is None else "False", reason, ""), **status})
    resource["metadata"]["name"] = name
    if ended_before is not None:
        resource["status"]["completionTime"] = (datetime.now(UTC) - ended_before).isoformat()
    return resource


def lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]


def test_runs_are_counted_by_reason_and_named_while_they_are_news() -> None:
    said = {"stage": "Train", "percent": 40, "epoch": 6, "valAccuracy": "0.8125", "etaSeconds": 30}
    runs = [
        named("new", "Training", stage="Train", version=VERSION, progress=said),
        named("ended", "OOMKilled", timedelta(hours=23), stage="Train", progress=said),
        named("old", "OOMKilled", timedelta(hours=25), stage="Train"),
        {**run(), "metadata": {**run()["metadata"], "name": "unseen"}},
    ]
    end = floatToGoString(datetime.fromisoformat(runs[1]["status"]["completionTime"]).timestamp())
    registry = CollectorRegistry()
    registry.register(RunCollector(lambda: runs))
    assert lines(registry) == [
        'trainingruns{reason="",resource_namespace="team"} 1.0',
        'trainingruns{reason="OOMKilled",resource_namespace="team"} 2.0',
        'trainingruns{reason="Training",resource_namespace="team"} 1.0',
        'trainingrun_info{name="new",reason="Training",resource_namespace="team",stage="Train",'
        f'version="{VERSION}"}} 1.0',
        'trainingrun_info{name="ended",reason="OOMKilled",resource_namespace="team",stage="Train",version=""} 1.0',
        'trainingrun_info{name="unseen",reason="",resource_namespace="team",stage="",version=""} 1.0',
        f'trainingrun_end_timestamp_seconds{{name="ended",resource_namespace="team",succeeded="False"}} {end}',
        'trainingrun_progress_ratio{name="new",resource_namespace="team"} 0.4',
        'trainingrun_epoch{name="new",resource_namespace="team"} 6.0',
        'trainingrun_val_accuracy{name="new",resource_namespace="team"} 0.8125',
    ]
    runs.clear()
    assert b"team" not in generate_latest(registry)


def test_conditions_and_replicas_of_servers() -> None:
    conditions_ = [
        {"type": "Ready", "status": "True", "reason": "Serving"},
        {"type": "Settled", "status": "False", "reason": "RollingOut"},
    ]
    metadata = {"namespace": "team", "name": "pets"}
    servers: list[dict[str, Any]] = [
        {"metadata": metadata, "status": {"readyReplicas": 2, "conditions": conditions_}},
        {"metadata": {**metadata, "name": "new"}},
    ]
    registry = CollectorRegistry()
    registry.register(ServerCollector(lambda: servers))
    assert lines(registry) == [
        'modelserver_condition{condition="Ready",name="pets",reason="Serving",resource_namespace="team"} 1.0',
        'modelserver_condition{condition="Settled",name="pets",reason="RollingOut",resource_namespace="team"} 0.0',
        'modelserver_ready_replicas{name="pets",resource_namespace="team"} 2.0',
        'modelserver_ready_replicas{name="new",resource_namespace="team"} 0.0',
    ]


def test_no_label_is_one_of_the_collections_own() -> None:
    """Google's collection renames them: a query for namespace would find the operator's own."""
    own = {"project_id", "location", "cluster", "namespace", "job", "instance", "pod", "container"}
    metadata = {"namespace": "team", "name": "pets"}
    ready = [{"type": "Ready", "status": "True", "reason": "Serving"}]
    registry = CollectorRegistry()
    registry.register(RunCollector(lambda: [run()]))
    registry.register(ServerCollector(lambda: [{"metadata": metadata, "status": {"conditions": ready}}]))
    families = [*registry.collect(), *(family for family in REGISTRY.collect() if "run" in family.name)]
    assert [sample for family in families for sample in family.samples if own & set(sample.labels)] == []


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
