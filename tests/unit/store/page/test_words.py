"""How values are written on the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.page import words


@pytest.mark.parametrize(
    "seconds,said",
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (4 * 86_400 + 3 * 3600 + 59, "4 d 3 h"),
    ],
)
def test_a_span_is_said_in_at_most_two_units(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    "milliseconds,said",
    [
        (None, "–"),  # noqa: RUF001
        (0, "0 ms"),
        (0.4, "< 1 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (8404, "8.40 s"),
        (9996, "10.0 s"),
        (59_949, "59.9 s"),
        (59_951, "1 min"),
        (185_000, "3 min 5 s"),
    ],
)
def test_a_duration_is_said_as_finely_as_its_size_deserves(milliseconds: float | None, said: str) -> None:
    assert words.duration(milliseconds) == said


@pytest.mark.parametrize(
    "share,said",
    [(None, "–"), (0.0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.999, "> 99 %"), (1.0, "100 %")],  # noqa: RUF001
)
def test_a_share_is_all_or_nothing_only_if_it_is(share: float | None, said: str) -> None:
    assert words.percent(share) == said


def test_sizes_counts_and_costs_are_grouped_and_rounded() -> None:
    assert [words.size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert [words.count(n) for n in (0, 1234567, 2.0, 2.5)] == ["0", "1,234,567", "2", "2.5"]
    assert [words.money(n) for n in (0.0421, 1200.0, 0.00001)] == ["0.0421", "1,200", "0"]


def test_times_are_told_in_utc() -> None:
    at = datetime(2026, 11, 22, 13, 5, 7, 89_000, tzinfo=timezone(timedelta(hours=1)))

    assert words.moment(at) == "2026-11-22 12:05:07"
    assert words.clock(at.astimezone(UTC)) == "12:05:07.089"


def test_a_value_that_is_too_long_to_be_shown_is_cut_and_says_so() -> None:
    shown = words.pretty({"text": "x" * words.LONGEST_TEXT})

    assert len(shown) == words.LONGEST_TEXT + 2
    assert shown.endswith("\n…")
    assert words.shown_text("a\x00b") == "a\ufffdb"


@given(st.floats(min_value=0, max_value=1e9))
def test_a_longer_duration_never_reads_as_a_shorter_unit(milliseconds: float) -> None:
    said = words.duration(milliseconds)

    assert said.split()[-1] in {"ms", "s", "min", "h", "d"}
    assert (" ms" in said) == (milliseconds < 999.5)
