from __future__ import annotations

import pytest

from airflow_integration.milestones import Milestones


class Clock:
    """Tells the time that it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("count", [1, 3, 10, 11, 999, 10_000])
def test_however_many_steps_there_are_at_most_ten_are_told_and_the_last_is_one(count: int) -> None:
    milestones = Milestones(count, Clock())

    told = [step for step in range(1, count + 1) if milestones.is_one(step)]

    assert len(told) == min(count, 10)
    assert told[-1] == count


def test_a_slow_step_is_told_after_a_minute_of_silence() -> None:
    clock = Clock()
    milestones = Milestones(10_000, clock)

    told = []
    for step in range(1, 11):
        clock.now += 25
        told.append(milestones.is_one(step))

    assert told == [False, False, True, False, False, True, False, False, True, False]
