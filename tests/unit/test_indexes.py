from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_events.indexes import show_indexes


@pytest.mark.parametrize(
    "indexes, shown",
    [([], ""), ([3], "3"), ([0, 4, 5, 6, 9], "0, 4-6, 9"), (range(10_000), "0-9999")],
    ids=["none", "one", "some", "many"],
)
def test_indexes_that_follow_each_other_are_told_as_ranges(indexes: list[int], shown: str) -> None:
    assert show_indexes(indexes) == shown


@given(st.sets(st.integers(0, 300)))
def test_however_many_there_are_the_text_stays_short_and_tells_the_first(indexes: set[int]) -> None:
    shown = show_indexes(sorted(indexes))

    assert len(shown) < 150
    told: set[int] = set()
    for one in (part for part in shown.split(", ") if part not in {"", "…"}):
        first, _, last = one.partition("-")
        told |= set(range(int(first), int(last or first) + 1))
    assert told == set(sorted(indexes)[: len(told)])
    assert ("…" in shown) == (told != indexes)
