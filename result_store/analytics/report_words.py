"""How the report says numbers and times, on a terminal and in its page. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["as_cost", "as_count", "as_duration", "as_share", "as_time", "printable"]

_UNKNOWN = "–"  # noqa: RUF001 - a dash that stands for a number


def as_count(value: int | None) -> str:
    """A whole number."""
    return _UNKNOWN if value is None else f"{value:,}"


def as_share(value: float | None) -> str:
    """A share, in per cent."""
    return _UNKNOWN if value is None else f"{value:.1%}"


def as_cost(value: float | None) -> str:
    """What something cost, in the unit that results have it in."""
    return _UNKNOWN if value is None else f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"


def as_duration(milliseconds: float | None) -> str:
    """A duration, in the unit that suits it."""
    if milliseconds is None:
        return _UNKNOWN
    size = abs(milliseconds)
    if size < 1_000:
        return f"{milliseconds:.3g} ms" if size < 100 else f"{milliseconds:.0f} ms"
    if size < 120_000:
        return f"{milliseconds / 1_000:.3g} s"
    if size < 7_200_000:
        return f"{milliseconds / 60_000:.1f} min"
    return f"{milliseconds / 3_600_000:.1f} h"


def as_time(time: datetime, bucket: timedelta = timedelta(seconds=1)) -> str:
    """A time in this machine's time zone, as fine as the stretches of time are."""
    here = time.astimezone()
    if bucket % timedelta(days=1):
        return here.strftime("%Y-%m-%d %H:%M:%S" if bucket % timedelta(minutes=1) else "%Y-%m-%d %H:%M")
    return time.strftime("%Y-%m-%d")


def printable(text: str) -> str:
    """The text without what a terminal would act on: it comes from whoever may write to the topics."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
