"""Conditions: one setter, and a transition time that means what it says."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.status.conditions import get_condition, set_condition

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OTHER = {"type": "Other", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "x"}
READY = {
    "type": "Ready",
    "status": "False",
    "reason": "Waiting",
    "message": "m",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def test_a_new_condition_comes_last() -> None:
    assert set_condition([OTHER], "Ready", "False", "Waiting", "m", 1, THEN) == [OTHER, READY]


def test_same_status_keeps_the_transition_time() -> None:
    changed = {**READY, "reason": "Else", "message": "n", "observedGeneration": 2}
    assert set_condition([READY, OTHER], "Ready", "False", "Else", "n", 2, NOW) == [changed, OTHER]


def test_another_status_moves_the_transition_time() -> None:
    [found] = set_condition([READY], "Ready", "True", "Serving", "m", 1, NOW)
    assert found == {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "m",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T00:00:00Z",
    }


def test_a_long_message_is_cut() -> None:
    [found] = set_condition([], "Ready", "True", "R", "x" * 5000, 1, NOW)
    assert found["message"] == "x" * 1024


def test_get_condition() -> None:
    assert get_condition([OTHER, READY], "Ready") == READY
    assert get_condition([OTHER], "Ready") is None


def test_times_go_both_ways() -> None:
    east = datetime(2026, 1, 1, 2, 0, 0, 123, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(east) == "2026-01-01T00:00:00Z"
    assert parse_time("2026-01-01T00:00:00Z") == THEN
    with pytest.raises(ValueError):
        parse_time("yesterday")
