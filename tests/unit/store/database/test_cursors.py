from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.database.cursors import decode_cursor, encode_cursor
from result_store.errors import InvalidCursorError

_TYPES = (datetime, UUID, str, int)
_KEYS = st.tuples(
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.integers(-(2**63) + 1, 2**63 - 1),
)


@given(key=_KEYS)
def test_a_cursor_comes_back_as_it_was(key: tuple[datetime, UUID, str, int]) -> None:
    assert decode_cursor("a", _TYPES, encode_cursor("a", key)) == key


@given(cursor=st.text())
def test_any_other_text_is_refused_in_words(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor("a", _TYPES, cursor)


@pytest.mark.parametrize(
    "values",
    [
        ["b", "2026-01-01T00:00:00+00:00", "0" * 32, "x", 1],
        ["a", "2026-01-01T00:00:00", "0" * 32, "x", 1],
        ["a", "0001-01-01T00:00:00+14:00", "0" * 32, "x", 1],
        ["a", "2026-01-01T00:00:00+00:00", "no id", "x", 1],
        ["a", "2026-01-01T00:00:00+00:00", "0" * 32, "\0", 1],
        ["a", "2026-01-01T00:00:00+00:00", "0" * 32, "\ud800", 1],
        ["a", "2026-01-01T00:00:00+00:00", "0" * 32, "x", 2**63],
        ["a", "2026-01-01T00:00:00+00:00", "0" * 32, "x", True],
        ["a", "2026-01-01T00:00:00+00:00", "0" * 32, "x"],
        {"a": 1},
    ],
)
def test_a_cursor_that_a_stranger_made_is_refused_in_words(values: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    with pytest.raises(InvalidCursorError):
        decode_cursor("a", _TYPES, cursor)
