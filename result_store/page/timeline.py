"""A run's timeline as the page draws it: lanes of what took how long, and the rows of what happened. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from result_store.page.words import duration
from result_store.records import Phase, RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from result_store.records import RunRecord, TimelineEntry

__all__ = ["MOST_LANES", "MOST_LISTED", "MOST_ROWS", "Bar", "Lane", "Row", "Timeline", "timeline"]

MOST_LANES: Final = 40
MOST_ROWS: Final = 60
"""Rows that are shown at once; of a longer timeline the milestones are, and all of it is folded up."""
MOST_LISTED: Final = 1000
"""Rows that are in a page at all."""
_MOST_BARS: Final = 200
_LEAST_WIDTH: Final = 4.0
"""Thousandths: what took next to no time is still seen."""

_TITLES: Final = {
    "requested": "Requested",
    "accepted": "Accepted by a worker",
    "run_started": "The graph begins",
    "node_started": "Node begins",
    "node_finished": "Node has ended",
    "custom": "The graph says",
    "result": "Result",
}


class Bar(NamedTuple):
    """A span of time in the picture. ``start`` and ``width`` are thousandths of the whole.

    Attributes:
        tone: ``wait``, ``node``, ``failed`` or ``open``: the node has begun and not been heard to end.
    """

    start: float
    width: float
    tone: str


class Lane(NamedTuple):
    """A wait, or all that was done by one node: a node of a loop has several bars, a node that is fanned out has one for all.

    Attributes:
        times: how often the node began.
        took: for how long at least one of them was at work.
    """

    label: str
    bars: Sequence[Bar]
    times: int
    took: str


class Row(NamedTuple):
    """One thing that happened.

    Attributes:
        offset: since the first thing, such as ``+1.25 s``.
        tone: names the colour: a state, ``node`` or ``plain``.
    """

    entry: TimelineEntry
    title: str
    offset: str
    tone: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The picture and the rows.

    Attributes:
        total: how long the whole took, or has taken.
        hidden: lanes that there is no room for.
    """

    lanes: Sequence[Lane]
    rows: Sequence[Row]
    total: str
    hidden: int

    @property
    def milestones(self) -> Sequence[Row]:
        """The rows that tell of no node, as far as there is room."""
        return [row for row in self.rows if row.tone != "node"][:MOST_ROWS]


class _Span(NamedTuple):
    label: str
    begin: datetime
    end: datetime
    tone: str


def timeline(run: RunRecord, now: datetime) -> Timeline:
    """What to draw of a run.

    Args:
        now: where a run in flight ends for the time being.
    """
    entries = sorted(run.timeline, key=lambda entry: entry.at)
    times = [entry.at for entry in entries]
    times += [at for at in (run.requested_at, run.finished_at) if at is not None]
    if not times:
        return Timeline((), (), duration(None), 0)
    begin, last = min(times), max(times)
    end = last if run.phase is Phase.FINISHED else max(last, now)
    lanes: dict[str, list[_Span]] = {}
    for span in _nodes(run, entries, end):
        lanes.setdefault(span.label, []).append(span)
    drawn = [[span] for span in _waits(run, begin, end)] + list(lanes.values())
    return Timeline(
        [_lane(spans, begin, end) for spans in drawn[:MOST_LANES]],
        [_row(entry, begin, run) for entry in entries],
        duration(_milliseconds(begin, end)),
        max(0, len(drawn) - MOST_LANES),
    )


def _waits(run: RunRecord, begin: datetime, end: datetime) -> list[_Span]:
    """From the request until a worker takes it, and from then until its turn."""
    asked = run.requested_at or begin
    taken = run.accepted_at or run.begun_at or run.finished_at or end
    spans = [_Span("until accepted", asked, max(asked, taken), "wait")]
    if run.accepted_at is not None:
        began = run.begun_at or run.finished_at or end
        spans.append(_Span("in line", run.accepted_at, max(run.accepted_at, began), "wait"))
    return spans


def _nodes(run: RunRecord, entries: Sequence[TimelineEntry], end: datetime) -> list[_Span]:
    """Each node that began, with its end: the first end of the same node, superstep and attempt that has no beginning yet."""
    ends: defaultdict[tuple[object, ...], deque[datetime]] = defaultdict(deque)
    for entry in entries:
        if entry.kind == "node_finished":
            ends[_which(entry)].append(entry.at)
    spans = []
    for entry in entries:
        if entry.kind != "node_started":
            continue
        found = ends[_which(entry)]
        ended = found.popleft() if found else None
        tone = "node" if ended else "open"
        if ended is None and run.phase is Phase.FINISHED:
            tone = "failed"
        spans.append(_Span(_label(entry), entry.at, max(entry.at, ended or end), tone))
    return spans


def _which(entry: TimelineEntry) -> tuple[object, ...]:
    return entry.attempt, entry.worker, entry.node, entry.step


def _label(entry: TimelineEntry) -> str:
    return entry.node or "unnamed"


def _lane(spans: Sequence[_Span], begin: datetime, end: datetime) -> Lane:
    """One lane for spans that share a label."""
    busy = sum(_milliseconds(one.begin, one.end) for one in _joined(spans, tones=False))
    bars = [_bar(one, begin, end) for one in _joined(spans)]
    return Lane(spans[0].label, bars[:_MOST_BARS], len(spans), duration(busy))


def _joined(spans: Sequence[_Span], *, tones: bool = True) -> list[_Span]:
    """Those that overlap or touch as one; by default only where they are of one tone."""
    found: list[_Span] = []
    for span in sorted(spans, key=lambda one: (one.tone if tones else "", one.begin)):
        last = found[-1] if found else None
        if last is not None and span.begin <= last.end and (span.tone == last.tone or not tones):
            found[-1] = last._replace(end=max(last.end, span.end))
        else:
            found.append(span)
    return found


def _bar(span: _Span, begin: datetime, end: datetime) -> Bar:
    whole = max(_milliseconds(begin, end), 0.001)
    width = min(1000.0, max(_LEAST_WIDTH, 1000 * _milliseconds(span.begin, span.end) / whole))
    start = min(max(0.0, 1000 * _milliseconds(begin, span.begin) / whole), 1000.0 - width)
    return Bar(round(start, 2), round(width, 2), span.tone)


def _row(entry: TimelineEntry, begin: datetime, run: RunRecord) -> Row:
    title = _TITLES.get(entry.kind, entry.kind)
    tone = {"node_started": "node", "node_finished": "node", "custom": "node"}.get(entry.kind, "plain")
    if entry.kind == "result":
        tone = entry.status if entry.status in set(RunState) and entry.status else "plain"
    if entry.kind == "requested" and (entry.attempt or 1) > 1:
        title = f"Requested again, attempt {entry.attempt}"
    if entry.kind == "result" and entry.attempt is not None and (run.attempt or 1) > entry.attempt:
        title = f"Result of attempt {entry.attempt}"
    return Row(entry, title, f"+{duration(max(0.0, _milliseconds(begin, entry.at)))}", tone)


def _milliseconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000
