"""The geometry of the page's charts: bars of states over time, lines of latencies over time, bars that compare steps. Pure.

The page draws them as SVG without a script. A plot is 1000 by 1000 units and stretched to the room that there is; its labels
stand beside it as text, so that they are as readable on a phone as anywhere.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from result_store.page.states import ORDER
from result_store.page.words import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from result_store.records import RunState

__all__ = [
    "WINDOWS",
    "Axis",
    "Bar",
    "Column",
    "ColumnChart",
    "Compared",
    "Line",
    "LineChart",
    "Window",
    "columns",
    "comparison",
    "lines",
    "nice_ceiling",
    "window_named",
]

_PLOT: Final = 1000.0
_GAP: Final = 0.18
"""The share of its slot that a column leaves free."""


_NO_FRACTION: Final = re.compile(r"\.0+ ")
_SMALL: Final = (4, 8, 12, 16)
"""Where the axis of a small count ends."""
_LEAST: Final = 1e-6
"""What is below it is drawn as nothing."""


class Window(NamedTuple):
    """A span of time to look at, and the buckets that it is cut into."""

    name: str
    length: timedelta
    bucket: timedelta

    def since(self, now: datetime) -> datetime:
        """When it begins, if it ends now: at the beginning of a bucket."""
        return self.bucket_of(now) - self.length + self.bucket

    def bucket_of(self, at: datetime) -> datetime:
        """The beginning of the bucket that a time lies in."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + (at - epoch) // self.bucket * self.bucket

    def buckets(self, now: datetime) -> list[datetime]:
        """The beginnings of its buckets, in order."""
        first = self.since(now)
        return [first + number * self.bucket for number in range(self.length // self.bucket)]


WINDOWS: Final = (
    Window("1 h", timedelta(hours=1), timedelta(minutes=2)),
    Window("24 h", timedelta(hours=24), timedelta(minutes=30)),
    Window("7 d", timedelta(days=7), timedelta(hours=4)),
    Window("30 d", timedelta(days=30), timedelta(days=1)),
)


def window_named(name: str | None) -> Window:
    """The window of that name; 24 hours where there is none of it."""
    return next((window for window in WINDOWS if window.name == name), WINDOWS[1])


class Axis(NamedTuple):
    """What stands beside a plot: values from the top down, and times from the left."""

    values: Sequence[str]
    times: Sequence[str]


class Bar(NamedTuple):
    """A part of a column. Units of the plot; y counts from the top."""

    state: RunState
    y: float
    height: float


class Column(NamedTuple):
    """One bucket.

    Attributes:
        at: its beginning.
        hint: what it says in words.
    """

    at: datetime
    x: float
    width: float
    bars: Sequence[Bar]
    hint: str
    counts: Mapping[RunState, int]


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """States over time."""

    axis: Axis
    columns: Sequence[Column]
    states: Sequence[RunState]
    total: int


def columns(counted: Mapping[datetime, Mapping[RunState, int]], window: Window, now: datetime) -> ColumnChart:
    """How many requests stand where, for each bucket of the window. Buckets that nobody counted are empty."""
    buckets = window.buckets(now)
    most = max((sum(counted.get(at, {}).values()) for at in buckets), default=0)
    top = nice_ceiling(most)
    slot = _PLOT / len(buckets)
    drawn = []
    for number, at in enumerate(buckets):
        counts = counted.get(at, {})
        drawn.append(
            Column(
                at,
                round(slot * (number + _GAP / 2), 2),
                round(slot * (1 - _GAP), 2),
                _stack(counts, top),
                _hint(at, counts),
                counts,
            )
        )
    present = [state for state in ORDER if any(column.counts.get(state) for column in drawn)]
    total = sum(sum(column.counts.values()) for column in drawn)
    return ColumnChart(Axis(_ticks(top, count), _times(window, now)), drawn, present, total)


def _stack(counts: Mapping[RunState, int], top: float) -> list[Bar]:
    bars = []
    below = 0.0
    for state in ORDER:
        if number := counts.get(state, 0):
            height = _PLOT * number / top
            below += height
            bars.append(Bar(state, round(_PLOT - below, 2), round(height, 2)))
    return bars


def _hint(at: datetime, counts: Mapping[RunState, int]) -> str:
    said = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts.get(state))
    return f"{at:%Y-%m-%d %H:%M} UTC: {said or 'none'}"


class Line(NamedTuple):
    """A line of a plot.

    Attributes:
        points: pieces, each the ``points`` of an SVG polyline; a bucket without a value parts two of them.
        dots: pieces of one point, which no line would show.
        last: its last value in words.
    """

    name: str
    points: Sequence[str]
    dots: Sequence[tuple[float, float]]
    last: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """Values over time.

    Attributes:
        hints: for each bucket the place of its slot, and what the lines say there in words.
        empty: whether there is no value at all.
    """

    axis: Axis
    lines: Sequence[Line]
    hints: Sequence[tuple[float, float, str]]
    empty: bool


def lines(
    series: Mapping[str, Mapping[datetime, float]],
    window: Window,
    now: datetime,
    *,
    says: Callable[[float], str] = duration,
    top: float | None = None,
) -> LineChart:
    """Lines over the window.

    Args:
        series: the values of each line by the beginning of the bucket, by the line's name.
        says: a value in words.
        top: the axis ends here; by default above the highest value.
    """
    buckets = window.buckets(now)
    highest = max((value for line in series.values() for at, value in line.items() if at in set(buckets)), default=0.0)
    ceiling = top or nice_ceiling(highest, whole=False)
    slot = _PLOT / len(buckets)
    drawn = [_line(name, values, buckets, ceiling, says) for name, values in series.items()]
    hints = []
    for number, at in enumerate(buckets):
        said = ", ".join(f"{name} {says(values[at])}" for name, values in series.items() if at in values)
        if said:
            hints.append((round(slot * number, 2), round(slot, 2), f"{at:%Y-%m-%d %H:%M} UTC: {said}"))
    return LineChart(Axis(_ticks(ceiling, says), _times(window, now)), drawn, hints, not hints)


def _line(
    name: str, values: Mapping[datetime, float], buckets: Sequence[datetime], top: float, says: Callable[[float], str]
) -> Line:
    slot = _PLOT / len(buckets)
    pieces: list[list[tuple[float, float]]] = [[]]
    for number, at in enumerate(buckets):
        if at in values:
            height = min(_PLOT, max(0.0, _PLOT * values[at] / top))
            pieces[-1].append((round(slot * (number + 0.5), 2), round(_PLOT - height, 2)))
        elif pieces[-1]:
            pieces.append([])
    known = [at for at in buckets if at in values]
    return Line(
        name,
        [" ".join(f"{x:g},{y:g}" for x, y in piece) for piece in pieces if len(piece) > 1],
        [piece[0] for piece in pieces if len(piece) == 1],
        says(values[known[-1]]) if known else "",
    )


class Compared(NamedTuple):
    """A bar of a comparison. ``width`` is in thousandths of the longest."""

    label: str
    width: float
    says: str
    detail: str


def comparison(rows: Sequence[tuple[str, float, str, str]]) -> list[Compared]:
    """Bars that compare values: label, value, the value in words, more words."""
    most = max((value for _, value, _, _ in rows), default=0.0)
    return [
        Compared(label, round(_PLOT * value / most, 2) if most > 0 else 0.0, says, detail)
        for label, value, says, detail in rows
    ]


def nice_ceiling(value: float, *, whole: bool = True) -> float:
    """The least number at or above ``value`` whose quarters read well.

    Args:
        whole: for counts: its quarters are whole.
    """
    if whole and value <= _SMALL[-1]:
        return next(float(step) for step in _SMALL if step >= value)
    if value < _LEAST or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (2, 4, 6, 8, 10) if whole else (1, 2, 4, 5, 8, 10)
    return next((step * power for step in steps if step * power >= value * (1 - 1e-9)), 20 * power)


def _ticks(top: float, says: Callable[[float], str]) -> list[str]:
    return [_NO_FRACTION.sub(" ", says(top * part / 4)) for part in (4, 3, 2, 1)] + ["0"]


def _times(window: Window, now: datetime) -> list[str]:
    first = window.since(now)
    last = first + window.length
    shape = "%H:%M" if window.length <= timedelta(hours=24) else "%d %b"
    return [f"{first + (last - first) * part / 4:{shape}}" for part in range(5)]
