"""What is done with above a partition's floor, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_integration.finished_offsets import FARTHEST, read_finished, write_finished


@given(st.integers(0, 2**40), st.sets(st.integers(0, FARTHEST - 1), max_size=60))
def test_what_is_written_is_read(floor: int, distances: set[int]) -> None:
    offsets = {floor + distance for distance in distances}
    assert read_finished(write_finished(offsets, floor=floor), floor=floor) == offsets


def test_a_thousand_offsets_take_less_than_two_hundred_characters() -> None:
    assert len(write_finished(range(1, 1001), floor=0)) < 200


def test_what_lies_below_the_floor_or_too_far_above_is_not_told() -> None:
    text = write_finished({5, 11, 10 + FARTHEST}, floor=10)
    assert read_finished(text, floor=10) == {11}
    assert len(write_finished(range(FARTHEST), floor=0)) == FARTHEST // 6
    assert write_finished({5}, floor=10) == ""


@pytest.mark.parametrize("text", [None, 7, "", "?", "abc", "é", ["AQ=="], "A" * (FARTHEST + 1)])
def test_what_others_wrote_tells_of_none(text: object) -> None:
    assert read_finished(text, floor=0) == frozenset()
