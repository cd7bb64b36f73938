"""Stretches of time: into which a window is cut, and how wide they should be. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["MOST_BUCKETS", "bucket_starts", "check_window", "fitting_bucket"]

MOST_BUCKETS: Final = 5_000
"""More than that are no chart, and a slip of the caller's."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(1950, 1, 1, tzinfo=UTC), datetime(2250, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_WIDTHS: Final = (
    *(timedelta(seconds=seconds) for seconds in (1, 5, 15, 30)),
    *(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 7, 28, 364)),
)


def check_window(since: datetime, until: datetime) -> None:
    """See that there is a window.

    Raises:
        ValueError: it has no time zone, ends before it begins, or lies where no database holds times.
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise ValueError("a window's times need a time zone: give them a tzinfo")
    if until <= since:
        raise ValueError(f"the window from {since.isoformat()} to {until.isoformat()} is empty: it must end later")
    if since < _EARLIEST or until > _LATEST:
        raise ValueError(
            f"the window from {since.isoformat()} to {until.isoformat()} is too wide: it must lie between {_EARLIEST:%Y} and "
            f"{_LATEST:%Y}"
        )


def bucket_starts(since: datetime, until: datetime, bucket: timedelta) -> list[datetime]:
    """Where each stretch of a window begins, in UTC.

    They begin at whole multiples of their width since 1970, so that those of an hour begin on the hour. The first one may begin
    before the window, and then holds only what is in the window.

    Raises:
        ValueError: there is no such window, or it has more than :data:`MOST_BUCKETS` stretches, or their width is no whole
            number of seconds.
    """
    check_window(since, until)
    if bucket < _SECOND or bucket % _SECOND:
        raise ValueError(f"a bucket of {bucket} is no whole number of seconds: give at least {_SECOND}")
    first = (since - _EPOCH) // bucket
    last = (until - timedelta(microseconds=1) - _EPOCH) // bucket
    if last - first >= MOST_BUCKETS:
        raise ValueError(
            f"the window from {since.isoformat()} to {until.isoformat()} has {last - first + 1} buckets of {bucket}, more than "
            f"{MOST_BUCKETS}: give a wider bucket"
        )
    return [_EPOCH + number * bucket for number in range(first, last + 1)]


def fitting_bucket(since: datetime, until: datetime, at_most: int = 60) -> timedelta:
    """The least usual width that cuts a window into about this many stretches, or fewer."""
    for width in _WIDTHS:
        if (until - since) / width <= at_most:
            return width
    return _WIDTHS[-1]
