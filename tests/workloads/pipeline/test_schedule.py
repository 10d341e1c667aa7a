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
    schedule = Schedule(0.01, epochs=10, max_seconds=1000)

    found = rates(schedule, [1.0] * 10)

    assert found[0] == pytest.approx(0.01 * FIRST)
    assert found[2] == pytest.approx(0.01)  # a fifth of the way
    assert found[2:] == sorted(found[2:], reverse=True)
    assert (len(found), schedule.shortened) == (10, False)


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


SIDES = ((0.5, 0.5), (1.0, 1.0))


def sides(schedule: Schedule, seconds: float) -> list[float]:
    """The side of each epoch; one of full side takes `seconds`, one of half the side a quarter of it."""
    found, total = [], 0.0
    while not schedule.finished:
        found.append(schedule.side)
        total += schedule.side**2 * seconds
        schedule.epoch_done(total)
    return found


def test_pictures_grow_on_the_way() -> None:
    assert sides(Schedule(0.01, 6, 1000, SIDES), 1.0) == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0]


def test_a_training_of_one_epoch_sees_whole_pictures() -> None:
    assert sides(Schedule(0.01, 1, 1000, SIDES), 1.0) == [1.0]


def test_epochs_that_will_cost_more_are_planned_with_what_they_will_cost() -> None:
    schedule = Schedule(0.01, epochs=100, max_seconds=100, sides=SIDES)

    found = sides(schedule, 8.0)

    # Of 97 s, half of the epochs at 2 s and half at 8 s: 18, not the 48 that the first epoch's 2 s promise.
    assert (len(found), found.count(0.5)) == (18, 9)
    assert schedule.position == pytest.approx(1.0)


def test_the_time_left_is_that_of_the_epochs_left() -> None:
    schedule = Schedule(0.01, epochs=4, max_seconds=1000, sides=SIDES)
    schedule.epoch_done(2.0)

    # One more of half the side, which took 2 s, and two whole ones.
    assert schedule.seconds_left(2.0) == pytest.approx(2.0 + 2 * 8.0)
