"""What each page shows, made of the store's records. Pure; the templates beside it only lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from result_store.errors import AccessRefusedError
from result_store.page.attention import attention
from result_store.page.states import IN_FLIGHT, ORDER, Segment, finished_share, segments
from result_store.page.timeline import MOST_LISTED, MOST_ROWS, Timeline, timeline
from result_store.page.viewer import Tab, Viewer, tabs_of
from result_store.page.words import count, percent, shown_text
from result_store.records import Phase, RunState, Scope

if TYPE_CHECKING:
    from result_store.records import (
        BatchStatus,
        BatchSummary,
        DeadLetterRecord,
        InvalidMessageRecord,
        Page,
        RunRecord,
        RunSummary,
    )

__all__ = [
    "BatchView",
    "BatchesView",
    "Frame",
    "InFlightView",
    "LettersView",
    "ProblemView",
    "RunView",
    "RunsView",
    "SignInView",
    "batch_view",
    "batches_view",
    "in_flight_view",
    "invalid_view",
    "letters_view",
    "run_view",
    "runs_view",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every page has.

    Attributes:
        now: the server's time, which ages are counted from.
        tab: the menu's entry that it belongs to.
    """

    now: datetime
    viewer: Viewer | None
    tab: str = ""

    @property
    def scope(self) -> Scope:
        """Whose requests may be shown.

        Raises:
            AccessRefusedError: nobody's, for it is not known who looks (401).
        """
        if self.viewer is None:
            raise AccessRefusedError("Sign in first.", status=401)
        return self.viewer.scope

    @property
    def tabs(self) -> tuple[Tab, ...]:
        """The menu."""
        return tabs_of(self.viewer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paged(Frame):
    """A page of a list.

    Attributes:
        first: leads to the first page; None on it.
        next: leads on; None on the last.
    """

    first: str | None = None
    next: str | None = None


class FlightRow(NamedTuple):
    """A request in flight, and what is wrong with it."""

    run: RunSummary
    attention: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightView(_Paged):
    """Requests without a result.

    Attributes:
        looks: how many of them somebody should look at.
    """

    tiles: Sequence[RunState]
    counts: Mapping[RunState, int]
    rows: Sequence[FlightRow]
    looks: int


def in_flight_view(
    frame: Frame, page: Page[RunSummary], counts: Mapping[RunState, int], *, cursor: str | None
) -> InFlightView:
    """The page of requests in flight; those that need a look stand first, and of these the oldest."""
    rows = [FlightRow(run, attention(run, frame.now)) for run in page.items]
    rows.sort(key=lambda row: (row.attention is None, row.run.requested_at or row.run.updated_at))
    looks = sum(row.attention is not None for row in rows)
    links = _links("/", [], cursor, page.next)
    return InFlightView(**_of(frame), **links, tiles=IN_FLIGHT, counts=counts, rows=rows, looks=looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsView(_Paged):
    """Runs, as far as the filter lets them through."""

    runs: Sequence[RunSummary]
    states: Sequence[RunState]
    chosen: frozenset[RunState]
    workflow: str | None

    @property
    def filtered(self) -> bool:
        """Whether there is a filter."""
        return bool(self.chosen or self.workflow)


def runs_view(
    frame: Frame, page: Page[RunSummary], *, chosen: frozenset[RunState], workflow: str | None, cursor: str | None
) -> RunsView:
    """The page of runs."""
    query = [("state", state.value) for state in ORDER if state in chosen]
    if workflow:
        query.append(("workflow", workflow))
    links = _links("/runs", query, cursor, page.next)
    return RunsView(**_of(frame), **links, runs=page.items, states=ORDER, chosen=chosen, workflow=workflow)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView(Frame):
    """One run.

    Attributes:
        causes: of its error, nearest first.
        verb: goes before how long it took.
    """

    run: RunRecord
    timeline: Timeline
    attention: str | None
    causes: Sequence[Mapping[str, Any]]
    verb: str
    most_rows: int = MOST_ROWS
    most_listed: int = MOST_LISTED


def run_view(frame: Frame, run: RunRecord) -> RunView:
    """The page of one run."""
    return RunView(
        **_of(frame),
        run=run,
        timeline=timeline(run, frame.now),
        attention=attention(run, frame.now),
        causes=_causes(run),
        verb="after" if run.phase is Phase.FINISHED else "for",
    )


def _causes(run: RunRecord) -> list[dict[str, str]]:
    found = (run.error_detail or {}).get("causes")
    causes = found if isinstance(found, list) else []
    return [
        {"type": str(cause.get("type", "")), "message": str(cause.get("message", ""))}
        for cause in causes
        if isinstance(cause, dict)
    ]


class BatchItem(NamedTuple):
    """A batch in a list. ``label`` says in words what its bar shows."""

    batch: BatchSummary
    segments: Sequence[Segment]
    share: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchesView(_Paged):
    """Batches, each with its progress."""

    batches: Sequence[BatchItem]


def batches_view(frame: Frame, page: Page[BatchSummary], *, cursor: str | None) -> BatchesView:
    """The page of batches."""
    items = [
        BatchItem(batch, segments(batch.by_state), finished_share(batch.by_state), _bar_label(batch.by_state))
        for batch in page.items
    ]
    return BatchesView(**_of(frame), **_links("/batches", [], cursor, page.next), batches=items)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView(_Paged):
    """One batch with its requests."""

    batch: BatchStatus
    runs: Sequence[RunSummary]
    segments: Sequence[Segment]
    share: float
    label: str


def batch_view(frame: Frame, batch: BatchStatus, *, cursor: str | None) -> BatchView:
    """The page of one batch."""
    return BatchView(
        **_of(frame),
        **_links("/batch", [("id", batch.workflow_run_id)], cursor, batch.requests.next),
        batch=batch,
        runs=batch.requests.items,
        segments=segments(batch.by_state),
        share=finished_share(batch.by_state),
        label=_bar_label(batch.by_state),
    )


class Letter(NamedTuple):
    """A message that was given up: by a worker, or by the store.

    Attributes:
        place: where it lies, ``topic:partition:offset``.
        word: why, in a word.
        text: why, in a sentence.
        origin: where the message lay that a dead letter is about.
        value: how it begins.
    """

    place: str
    word: str
    text: str
    origin: str | None
    size: int
    at: datetime
    correlation_id: UUID | None
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LettersView(_Paged):
    """What was given up. ``kind`` is ``letters`` or ``invalid``."""

    kind: str
    items: Sequence[Letter]


def letters_view(frame: Frame, page: Page[DeadLetterRecord], *, cursor: str | None) -> LettersView:
    """The page of dead letters."""
    items = [
        Letter(
            f"{one.topic}:{one.partition}:{one.offset}",
            one.code,
            one.reason,
            None if one.origin_topic is None else f"{one.origin_topic}:{one.origin_partition}:{one.origin_offset}",
            one.size,
            one.at,
            one.correlation_id,
            None,
        )
        for one in page.items
    ]
    links = _links("/dead-letters", [], cursor, page.next)
    return LettersView(**_of(frame), **links, kind="letters", items=items)


def invalid_view(frame: Frame, page: Page[InvalidMessageRecord], *, cursor: str | None) -> LettersView:
    """The page of messages that the store could not read."""
    items = [
        Letter(
            f"{one.topic}:{one.partition}:{one.offset}",
            one.error_type,
            one.error,
            None,
            one.size,
            one.at,
            one.correlation_id,
            shown_text(one.value),
        )
        for one in page.items
    ]
    links = _links("/invalid-messages", [], cursor, page.next)
    return LettersView(**_of(frame), **links, kind="invalid", items=items)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInView(Frame):
    """The form. ``problem`` says why the last try failed."""

    next: str
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemView(Frame):
    """Why there is no page, and where to go."""

    status: int
    title: str
    text: str
    back: str = "/"
    back_to: str = "To the requests in flight"


def _of(frame: Frame) -> dict[str, Any]:
    return {"now": frame.now, "viewer": frame.viewer, "tab": frame.tab}


def _links(path: str, query: Sequence[tuple[str, str]], cursor: str | None, following: str | None) -> dict[str, Any]:
    def link(*more: tuple[str, str]) -> str:
        asked = urlencode([*query, *more])
        return f"{path}?{asked}" if asked else path

    return {"first": link() if cursor else None, "next": link(("cursor", following)) if following else None}


def _bar_label(by_state: Mapping[RunState, int]) -> str:
    said = ", ".join(f"{count(part.number)} {part.state}" for part in segments(by_state))
    return f"{percent(finished_share(by_state))} have come to an end: {said or 'none'}"
