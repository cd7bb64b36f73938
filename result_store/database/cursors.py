"""Where a page ended, as a text that callers hand back to ask for the next (keyset pagination). Pure.

It names the last row that was given, not how many were: so rows that come meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from result_store.errors import InvalidCursorError

__all__ = ["decode_cursor", "encode_cursor"]

_LONGEST: Final = 8_192
_LARGEST: Final = 2**63 - 1

Key = tuple[Any, ...]
"""The last row's sort key: times, ids, texts and whole numbers."""


def encode_cursor(kind: str, key: Key) -> str:
    """The cursor behind a row.

    Args:
        kind: a word for the list that it is of; a cursor of one list is none of another.
    """
    values = [
        each.isoformat() if isinstance(each, datetime) else each.hex if isinstance(each, UUID) else each for each in key
    ]
    return base64.urlsafe_b64encode(json.dumps([kind, *values], separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(kind: str, types: tuple[type, ...], cursor: str | None) -> Key | None:
    """The sort key that a cursor holds; None for the first page.

    Args:
        types: of the key's values.

    Raises:
        InvalidCursorError: it is none that :func:`encode_cursor` gave for this list.
    """
    if cursor is None:
        return None
    try:
        return _decode(kind, types, cursor)
    except (ValueError, OverflowError, RecursionError):
        pass
    raise InvalidCursorError("The cursor is none that this list gave: ask for the first page, without a cursor.")


def _decode(kind: str, types: tuple[type, ...], cursor: str) -> Key:
    if len(cursor) > _LONGEST:
        raise ValueError
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(found, list) or found[:1] != [kind] or len(found) != len(types) + 1:
        raise ValueError
    return tuple(_value(each, wanted) for each, wanted in zip(found[1:], types, strict=True))


def _value(value: object, wanted: type) -> Any:
    if wanted is int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
            raise ValueError
        return value
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # a lone surrogate is no text for a database
    if wanted is datetime:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError
        return time.astimezone(UTC)
    return UUID(value) if wanted is UUID else value
