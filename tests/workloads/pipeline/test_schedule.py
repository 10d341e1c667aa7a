"""The learning rate: up, down to almost nothing at the end, and at the end in time."""

from __future__ import annotations

import pytest

from catsdogs.pipeline.schedule import FIRST, LAST, Schedule


def rates(schedule: Schedule, seconds_per_epoch: list[float]) -> list[float]:
    """The rate at the start of each epoch, until the schedule is finished."""
    found, total = [], 0.0
    while not schedule.finished:
        found.append(schedule.rate_at(0.0))
        total += seconds_per_epoch[len(found) - 1]
        schedule.epoch_done(total)
    return found


def test_without_time_pressure_the_rate_rises_to_its_highest_and_falls() -> None:
    schedule = Schedule(0.01, epochs=8, max_seconds=1000)

    found = rates(schedule, [1.0] * 8)

    assert found[0] == pytest.approx(0.01 * FIRST)
    assert found[2] == pytest.approx(0.01)  # a quarter of the way
    assert found[2:] == sorted(found[2:], reverse=True)
    assert (len(found), schedule.shortened) == (8, False)


def test_the_rate_ends_almost_at_nothing() -> None:
    schedule = Schedule(0.01, epochs=1, max_seconds=1000)

    assert schedule.rate_at(1.0) == pytest.approx(0.01 * LAST)


def test_a_time_limit_plans_fewer_epochs_and_still_comes_down() -> None:
    schedule = Schedule(0.01, epochs=20, max_seconds=100)

    found = rates(schedule, [10.0] * 20)

    assert (len(found), schedule.shortened) == (9, True)  # 97 s of the 100 are planned with
    assert found[-1] < 0.0015


def test_epochs_come_back_when_the_first_one_was_slow() -> None:
    schedule = Schedule(0.01, epochs=10, max_seconds=100)

    found = rates(schedule, [30.0] + [5.0] * 9)

    assert (len(found), schedule.shortened) == (10, True)


def test_time_that_is_up_ends_the_epoch_at_once() -> None:
    schedule = Schedule(0.01, epochs=10, max_seconds=100)

    assert (schedule.out_of_time(99.9), schedule.out_of_time(100.0)) == (False, True)
    assert (schedule.finished, schedule.shortened) == (True, True)


def test_a_restored_schedule_goes_on_as_the_first_would() -> None:
    first, second = Schedule(0.01, 8, 1000), Schedule(0.01, 8, 1000)
    for epoch in range(3):
        first.epoch_done(epoch + 1.0)
    second.load_state_dict(first.state_dict())

    assert rates(second, [1.0] * 8) == rates(first, [1.0] * 8)
