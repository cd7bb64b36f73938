"""How values are written on the page: times, durations, sizes, counts. Pure.

The script of the page (``assets/page.js``) writes spans that go on in the same words; a test in a browser compares the two.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["clock", "count", "duration", "moment", "money", "percent", "pretty", "shown_text", "size", "span"]

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_NOTHING: Final = "–"  # noqa: RUF001 - an en dash, for a cell without a value

LONGEST_TEXT: Final = 60_000
"""Characters of a text or of a value's JSON that are shown; the archive has the whole."""


def span(seconds: float) -> str:
    """How long something has gone on, in at most two units: ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole // _MINUTE, "min", whole % _MINUTE, "s")
    if whole < _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _two(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _two(large: int, its_unit: str, small: int, unit: str) -> str:
    return f"{large} {its_unit} {small} {unit}" if small else f"{large} {its_unit}"


def duration(milliseconds: float | None) -> str:
    """How long something took: finer than :func:`span` below a minute."""
    if milliseconds is None:
        return _NOTHING
    if milliseconds < 1:
        return "< 1 ms" if milliseconds > 0 else "0 ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 59.95 else span(round(seconds))


def moment(at: datetime | None) -> str:
    """A time, in UTC, to the second."""
    return _NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: datetime) -> str:
    """The time of day, in UTC, to the millisecond."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def size(amount: int | None) -> str:
    """An amount of bytes."""
    if amount is None:
        return _NOTHING
    value = float(amount)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{amount} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def count(number: float | None) -> str:
    """A number, its thousands set apart."""
    if number is None:
        return _NOTHING
    return f"{number:,}" if isinstance(number, int) or not number.is_integer() else f"{int(number):,}"


def percent(share: float | None) -> str:
    """A share of one, in per cent; what is not all or nothing is not written as such."""
    if share is None:
        return _NOTHING
    rounded = round(100 * share)
    if 0 < share < 1 and rounded in {0, 100}:
        return "< 1 %" if rounded == 0 else "> 99 %"
    return f"{rounded} %"


def money(amount: float | None) -> str:
    """A cost. Its currency is whoever's that told it."""
    return _NOTHING if amount is None else f"{amount:,.4f}".rstrip("0").rstrip(".")


def pretty(value: Any, most: int = LONGEST_TEXT) -> str:
    """A value as indented JSON, as far as it is to be shown."""
    return shown_text(json.dumps(value, ensure_ascii=False, indent=2, default=str), most)


def shown_text(text: str, most: int = LONGEST_TEXT) -> str:
    """A text as far as it is to be shown. What HTML cannot hold is shown as U+FFFD, as it is kept in the database."""
    return text.replace("\x00", "\ufffd") if len(text) <= most else f"{shown_text(text[:most], most)}\n…"
