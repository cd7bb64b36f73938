"""How a window is cut into stretches of time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.analytics.windows import bucket_starts, check_window, fitting_bucket

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as Hypothesis asks


def test_stretches_of_an_hour_begin_on_the_hour() -> None:
    starts = bucket_starts(NOON - timedelta(minutes=90), NOON, HOUR)
    assert starts == [NOON - 2 * HOUR, NOON - HOUR]


@given(TIMES, st.timedeltas(timedelta(microseconds=1), timedelta(days=400)))
def test_a_windows_stretches_cover_it_without_gaps_and_none_lies_outside(since: datetime, width: timedelta) -> None:
    until = since + width
    bucket = fitting_bucket(since, until)
    starts = bucket_starts(since, until, bucket)
    assert starts[0] <= since < starts[0] + bucket
    assert starts[-1] < until <= starts[-1] + bucket
    assert all(later - earlier == bucket for earlier, later in itertools.pairwise(starts))
    assert len(starts) <= 61


@pytest.mark.parametrize(
    "since, until, bucket, said",
    [
        (NOON, NOON, HOUR, "must end later"),
        (NOON.replace(tzinfo=None), NOON, HOUR, "time zone"),
        (NOON, NOON + HOUR, timedelta(milliseconds=1500), "whole number of seconds"),
        (datetime(1, 1, 1, tzinfo=UTC), NOON, HOUR, "between 1950 and 2250"),
        (NOON, NOON + HOUR, -HOUR, "whole number of seconds"),
        (NOON, NOON + timedelta(days=400), timedelta(seconds=1), "give a wider bucket"),
    ],
    ids=["empty", "naive", "fraction", "too early", "negative", "too many"],
)
def test_a_window_that_is_none_is_refused_in_words(
    since: datetime, until: datetime, bucket: timedelta, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        bucket_starts(since, until, bucket)


def test_times_of_different_zones_make_a_window() -> None:
    check_window(NOON.astimezone(timezone(timedelta(hours=9))), NOON + timedelta(seconds=1))
