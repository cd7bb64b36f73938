"""Ratios, percentiles and a run's sums: what the answers are worked out by."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.analytics.answers import Durations, StepSummary
from result_store.analytics.arithmetic import (
    StepRow,
    elimination_ratio,
    most_failing,
    nearest_rank,
    outcome_failure_rate,
    slowest,
    superstep_of,
    totals_of,
)
from result_store.records import RunState
from result_store.step_rows import _key as step_key

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNTS = st.integers(0, 2**62)


@given(COUNTS.filter(bool), COUNTS)
def test_what_came_out_and_what_was_eliminated_make_up_what_went_in(taken_in: int, given_out: int) -> None:
    ratio = elimination_ratio(taken_in, given_out)
    assert ratio is not None
    assert ratio == pytest.approx(float(1 - Fraction(given_out, taken_in)))
    assert ratio <= 1


@pytest.mark.parametrize("counts", [(0, 0), (0, 5), (None, 5), (5, None), (None, None)])
def test_there_is_no_elimination_ratio_of_nothing_or_of_what_is_not_known(
    counts: tuple[int | None, int | None],
) -> None:
    assert elimination_ratio(*counts) is None


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    ordered = sorted(values)
    found = ordered[nearest_rank(len(ordered), percent) - 1]
    least = min(value for value in values if 100 * sum(one <= value for one in values) >= percent * len(values))
    assert found == least


def test_nothing_has_no_percentile() -> None:
    assert nearest_rank(0, 95) == 0


def test_runs_that_were_cancelled_or_wait_do_not_count_as_answers_of_the_workflow() -> None:
    of_each = dict.fromkeys(RunState, 1)
    assert outcome_failure_rate(of_each) == pytest.approx(2 / 3)
    assert outcome_failure_rate({RunState.CANCELLED: 4, RunState.RUNNING: 2}) is None


def step(key: str, after: float = 0, *, name: str | None = None, **values: Any) -> StepRow:
    """A step's row, first heard of so many seconds after noon."""
    told = {"failed": False, "told": True, "input_count": None, "output_count": None, "tokens": None, "cost": None}
    name = name or key.partition("#")[0]
    return StepRow(step_key=key, name=name, at=NOON + timedelta(seconds=after), **{**told, **values})


def test_a_runs_input_is_that_of_its_first_steps_and_its_output_that_of_its_last() -> None:
    steps = [
        step("plan#1", 0, tokens=7),  # tells no count
        step("left#2", 2, input_count=60, output_count=30, tokens=1, cost=0.5),
        step("right#2", 1, input_count=40, output_count=40),
        step("merge#3", 3, input_count=70, output_count=9, cost=0.25),
        step("notify#4", 4),
    ]
    assert totals_of(steps) == (5, 100, 9, 8, 0.75)


def test_a_subgraphs_superstep_is_not_taken_for_one_of_the_graph_around_it() -> None:
    steps = [
        step("take#1", 0, input_count=10, output_count=8),
        step("outer|sift#1", 1, input_count=8, output_count=2),
        step("outer|again#1", 1, input_count=2, output_count=1),
    ]
    assert totals_of(steps)[:3] == (3, 10, 3)


def test_steps_without_a_superstep_follow_each_other_by_time() -> None:
    steps = [step("b", 1, input_count=4, output_count=3), step("a", 2, input_count=3, output_count=1)]
    assert totals_of(steps)[:3] == (2, 4, 1)


def test_a_failure_of_which_no_superstep_is_known_is_not_a_step_more() -> None:
    failed = step("score", 2, failed=True, told=False)
    assert totals_of([step("score#2", 1), failed]).steps == 1
    assert totals_of([step("plan#1", 1), failed]).steps == 2


@given(
    st.lists(
        st.builds(
            step,
            st.sampled_from(["a#1", "a#2", "b#1", "b#2", "o|a#1", "c"]),
            st.integers(0, 3),
            input_count=st.none() | COUNTS,
            output_count=st.none() | COUNTS,
        ),
        unique_by=lambda one: one.step_key,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_rows_are_read_does_not_matter(steps: list[StepRow], chance: random.Random) -> None:
    shuffled = list(steps)
    chance.shuffle(shuffled)
    assert totals_of(shuffled) == totals_of(steps)


@given(st.text("a1#|", max_size=5), st.none() | st.integers(0, 10_000))
def test_a_steps_superstep_is_read_from_its_key(name: str, superstep: int | None) -> None:
    assert superstep_of(step_key(name, superstep), name) == superstep


def summary(name: str, *, runs: int = 10, failures: int = 0, p95: float | None = None) -> StepSummary:
    return StepSummary(
        workflow_id="w",
        name=name,
        runs=runs,
        failures=failures,
        failure_rate=failures / runs,
        duration=Durations(p95=p95),
    )


def test_the_slowest_and_the_most_failing_come_first_and_those_that_are_neither_not_at_all() -> None:
    summaries = [
        summary("quick", p95=1, failures=2),
        summary("unmeasured", failures=2, runs=5),
        summary("slow", p95=9),
        summary("also slow", p95=9, failures=3),
    ]
    assert [one.name for one in slowest(summaries, 2)] == ["also slow", "slow"]
    assert [one.name for one in slowest(summaries, 9)] == ["also slow", "slow", "quick"]
    assert [one.name for one in most_failing(summaries, 9)] == ["also slow", "unmeasured", "quick"]
