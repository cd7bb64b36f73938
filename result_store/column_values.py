"""What foreign JSON becomes before it is put in a column: text that a database takes, numbers in range, or null. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from result_store.errors import UnstorableError

__all__ = [
    "LONGEST_NAME",
    "attempt_of",
    "count",
    "identity",
    "json_text",
    "name",
    "number",
    "small_count",
    "text",
    "utc",
]

LONGEST_NAME: Final = 256
"""Characters of a step's or node's name: it is part of a key, and an index takes no more than some 2,700 bytes."""
_MOST: Final = 2**63 - 1
_MOST_SMALL: Final = 2**31 - 1


def text(value: object) -> str | None:
    """A text; null where it is none. PostgreSQL takes no NUL in a text: U+FFFD comes in its place."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return None


def name(value: object) -> str | None:
    """A name of what a graph has many of, such as its nodes: a text that is not empty and not longer than an index takes."""
    found = text(value)
    return found[:LONGEST_NAME] if found else None


def identity(value: object) -> str | None:
    """A user's or tenant's id, which clients give as a text or a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value) or None


def count(value: object) -> int | None:
    """A whole number that a ``bigint`` holds."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_MOST <= value <= _MOST:
        return None
    return value


def small_count(value: object) -> int | None:
    """A whole number that an ``integer`` holds."""
    found = count(value)
    return found if found is not None and -_MOST_SMALL <= found <= _MOST_SMALL else None


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def json_text(value: Any) -> str:
    """A value as JSON; what JSON has no number for is null."""
    return to_json(value, inf_nan_mode="null").decode()


def utc(time: datetime) -> datetime:
    """The time in UTC.

    Raises:
        UnstorableError: there it lies outside the years 1 to 9999.
    """
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise UnstorableError("a time in it lies outside the years 1 to 9999 in UTC") from None


def attempt_of(attempt: int) -> int:
    """An attempt's number.

    Raises:
        UnstorableError: it is no attempt that anybody has made.
    """
    if attempt > _MOST_SMALL:
        raise UnstorableError(f"its attempt is beyond {_MOST_SMALL}")
    return attempt
