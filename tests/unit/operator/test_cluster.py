"""What is sent to the API server: paths, the status patch, events, and what needs no sending."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.cluster import merge_patch, path
from mlops_operator.handlers.execute import event_body, includes
from mlops_operator.reconcile.plan import Event
from tests.unit.operator.training_run_world import run


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396, section 2, as an independent reference."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}, {"a": {"c": None, "d": 3}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_merge_patch(old: Any, new: Any, patch: Any) -> None:
    assert merge_patch(old, new) == patch
    assert merged(old, json.loads(json.dumps(patch))) == new


def test_paths() -> None:
    assert path("v1", "Pod", "team") == "/api/v1/namespaces/team/pods"
    assert path("batch/v1", "Job", "team", "a") == "/apis/batch/v1/namespaces/team/jobs/a"
    with pytest.raises(KeyError):
        path("v1", "Secret", "team", "a")


def test_event_whole_and_the_same_name_for_the_same_news() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    body = event_body(run(), Event("Warning", "OOMKilled", "too much"), now)
    assert body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": body["metadata"]["name"], "namespace": "team"},
        "involvedObject": {
            "apiVersion": "mlops.cats-dogs.io/v1alpha1",
            "kind": "TrainingRun",
            "name": "demo",
            "namespace": "team",
            "uid": "u-run",
        },
        "type": "Warning",
        "reason": "OOMKilled",
        "message": "too much",
        "source": {"component": "mlops-operator"},
        "reportingComponent": "mlops-operator",
        "firstTimestamp": "2026-01-02T00:00:00Z",
        "lastTimestamp": "2026-01-02T00:00:00Z",
        "count": 1,
    }
    again = event_body(run(), Event("Warning", "OOMKilled", "too much"), datetime.now(UTC))
    other = event_body(run(), Event("Warning", "OOMKilled", "again"), now)
    assert again["metadata"] == body["metadata"]
    assert other["metadata"] != body["metadata"]


@pytest.mark.parametrize(
    ("present", "wanted", "same"),
    [
        ({"a": 1, "filled": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": None}, False),
        ({"a": [{"b": 1, "filled": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": "x"}, {"a": {"b": 1}}, False),
    ],
)
def test_what_is_there_already_is_not_sent_again(present: Any, wanted: Any, same: bool) -> None:
    assert includes(present, wanted) is same
