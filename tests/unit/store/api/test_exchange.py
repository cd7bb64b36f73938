"""An exchange's id, and what its log line shows."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from result_store.api.exchange import clean_id


@given(st.text(max_size=300))
def test_an_id_can_stand_in_a_header_and_a_log_line_whatever_was_sent(given_id: str) -> None:
    cleaned = clean_id(given_id)
    assert 1 <= len(cleaned) <= 128
    assert cleaned.isascii()
    assert cleaned.isprintable()
    assert " " not in cleaned


def test_a_proper_id_is_kept_and_a_missing_one_is_made() -> None:
    assert clean_id("order-17/a") == "order-17/a"
    assert clean_id("a\r\nSet-Cookie: b") == "aSet-Cookie:b"
    assert UUID(clean_id(None)).version == 4
    assert clean_id("\x00\n") != clean_id("\x00\n")
