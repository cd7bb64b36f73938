"""Ids of the live stream's events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store import stream_ids
from result_store.errors import InvalidCursorError

CURSORS = st.dictionaries(st.integers(0, 10_000), st.integers(0, 2**53), min_size=1, max_size=20)


@given(CURSORS)
def test_an_id_is_read_as_it_was_written(cursor: dict[int, int]) -> None:
    assert stream_ids.parse(stream_ids.text(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["x", "0", "0:", ":1", "0:1,", "0:-1", "0:1;1:2", "0: 1", "\u0660:\u0661", "0:1\n", "0:1," * 20_000]
)
def test_what_is_no_id_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidCursorError, match="send the last one as it came"):
        stream_ids.parse(text)
