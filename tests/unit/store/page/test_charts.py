"""The geometry of the charts."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.page.charts import WINDOWS, columns, comparison, lines, nice_ceiling, window_named
from result_store.page.states import finished_share, segments
from result_store.page.words import percent
from result_store.records import RunState
from tests.unit.store.page.made import NOW

COUNTS = st.dictionaries(st.sampled_from(RunState), st.integers(0, 10**7))


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_a_window_ends_with_the_bucket_that_goes_on(window: object) -> None:
    assert isinstance(window, type(WINDOWS[0]))
    buckets = window.buckets(NOW + timedelta(seconds=61))

    assert buckets[-1] <= NOW + timedelta(seconds=61) < buckets[-1] + window.bucket
    assert len(buckets) == window.length // window.bucket
    assert all(later - one == window.bucket for one, later in itertools.pairwise(buckets))


def test_an_unknown_window_is_a_day() -> None:
    assert window_named("a week of sundays").name == "24 h"


@given(st.lists(COUNTS, min_size=1, max_size=30))
def test_the_parts_of_a_column_stand_on_each_other_and_within_the_plot(counts: list[dict[RunState, int]]) -> None:
    window = WINDOWS[0]
    counted = dict(zip(window.buckets(NOW), counts, strict=False))

    chart = columns(counted, window, NOW)

    assert chart.total == sum(sum(one.values()) for one in counts)
    most = max(sum(one.values()) for one in counts)
    for column in chart.columns:
        below = 1000.0
        for bar in column.bars:
            assert bar.y + bar.height == pytest.approx(below, abs=0.02)
            below = bar.y
        assert -0.02 <= below <= 1000.0
        total = sum(column.counts.values())
        assert 1000 - below == pytest.approx(1000 * total / nice_ceiling(most), abs=0.1)
        assert (" none" in column.hint) == (total == 0)


def test_a_line_is_broken_where_there_is_no_value_and_a_single_value_is_a_dot() -> None:
    window = WINDOWS[0]
    at = window.buckets(NOW)
    values = {at[0]: 0.0, at[1]: 0.5, at[3]: 1.0}

    chart = lines({"failed": values}, window, NOW, says=percent, top=1.0)

    (line,) = chart.lines
    width = 1000 / len(at)
    assert line.points == [f"{round(width / 2, 2):g},1000 {round(width * 1.5, 2):g},500"]
    assert line.dots == [(round(width * 3.5, 2), 0.0)]
    assert chart.axis.values == ["100 %", "75 %", "50 %", "25 %", "0"]
    assert line.last == "100 %"
    assert not chart.empty
    assert lines({"failed": {}}, window, NOW).empty


@given(st.floats(0, 1e15))
def test_an_axis_ends_at_a_number_that_reads_well_and_not_far_above_the_highest(value: float) -> None:
    top = nice_ceiling(value, whole=False)

    assert top >= value * (1 - 1e-9)
    assert value < 1e-6 or top <= 2 * value * (1 + 1e-9)


@given(st.integers(0, 10**12))
def test_an_axis_of_counts_has_whole_quarters(value: int) -> None:
    top = nice_ceiling(value)

    assert top >= value
    assert top % 4 == 0
    assert value < 5 or top <= 2 * value


@given(COUNTS)
def test_the_parts_of_a_batchs_bar_fill_it(by_state: dict[RunState, int]) -> None:
    parts = segments(by_state)

    assert sum(part.number for part in parts) == sum(by_state.values())
    if parts:
        assert sum(part.width for part in parts) == pytest.approx(1000)
        assert parts[-1].start + parts[-1].width == pytest.approx(1000)
    assert 0 <= finished_share(by_state) <= 1


def test_a_comparison_is_of_the_longest() -> None:
    assert [bar.width for bar in comparison([("a", 4.0, "4", ""), ("b", 1.0, "1", "")])] == [1000.0, 250.0]
    assert [bar.width for bar in comparison([("a", 0.0, "0", "")])] == [0.0]
