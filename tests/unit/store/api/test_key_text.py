"""API keys as text, and how a wrong one is told."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from result_store.api import key_text
from result_store.api.key_text import KeyText, digest, is_right, new_key, parse_key

_KEY = f"wfk_{'0a' * 8}_{'1b' * 32}"


def test_a_new_key_is_read_as_it_was_written_and_its_repr_shows_no_secret() -> None:
    key = new_key()
    assert parse_key(str(key)) == key
    assert str(key).startswith(f"wfk_{key.key_id}_")
    assert key.secret not in repr(key)
    assert len(key.key_id) <= 16
    assert new_key() != key


@pytest.mark.parametrize(
    "text",
    ["", "wfk_", "wfk_0_0", "x" * 5000, f"wfk_{'0' * 16}_{'g' * 64}", f" {_KEY}", f"{_KEY}\n", "wfk_é_ü"],
)
def test_what_is_no_key_is_nobodys(text: str) -> None:
    key = parse_key(text)
    assert key == key_text.NOBODY
    assert not is_right(key, None)


def test_a_secret_is_right_only_with_its_own_digest() -> None:
    key, other = new_key(), new_key()
    assert is_right(key, digest(key.secret))
    assert not is_right(key, digest(other.secret))
    assert not is_right(KeyText(key.key_id, ""), digest(key.secret))


@pytest.mark.parametrize("kept", [None, digest("another"), "0" * 64])
@pytest.mark.parametrize("text", ["", "nonsense", _KEY])
def test_every_wrong_key_is_compared_in_constant_time(
    text: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: a watch on the only comparison that takes as long whatever it finds
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(a: Any, b: Any) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)

    # When / Then: whatever is wrong, two digests of full length are compared, once
    assert not is_right(parse_key(text), kept)
    assert compared == [(64, 64)]
