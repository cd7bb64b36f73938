"""The questions' statements, for SQLite and PostgreSQL alike.

Percentiles are taken by nearest rank, by numbering what is sorted: SQLite has no function for them, and PostgreSQL's own takes
the share as a float, so that it rounds in its own way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Double, Integer, Select, and_, case, cast, func, literal, or_, select

from result_store.analytics.arithmetic import GOING_ON, StepRow, nearest_rank
from result_store.analytics.assembling import COUNTS
from result_store.analytics.sql_times import epoch_microseconds
from result_store.database.tables import runs, steps
from result_store.ranks import microseconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

__all__ = ["latencies_over_time", "latest_runs", "states_over_time", "steps_of", "summed_steps"]

_GOES_ON = runs.c.state.in_(GOING_ON)
_ENDED_OR_HEARD = case((_GOES_ON, runs.c.updated_at), else_=runs.c.finished_at)
_TOOK = func.coalesce(steps.c.duration_ms, steps.c.node_duration_ms)
"""What the graph measured itself counts, then what its worker measured around the node."""


def summed_steps(since: datetime, until: datetime, workflow_id: str | None) -> Select[Any]:
    """One row for each name of a step."""
    needed = ("workflow_id", "name", "correlation_id", "failed", *COUNTS, "cost")
    found = (
        select(
            *(steps.c[name] for name in needed),
            _TOOK.label("took"),
            *_ranked(_TOOK, "took", by=(steps.c.workflow_id, steps.c.name)),
        )
        .where(steps.c.at >= since, steps.c.at < until, *_of_workflow(steps.c.workflow_id, workflow_id))
        .subquery()
    )
    return select(
        found.c.workflow_id,
        found.c.name,
        func.count(found.c.correlation_id.distinct()).label("runs"),
        func.count(case((found.c.failed, found.c.correlation_id)).distinct()).label("failures"),
        *(func.sum(cast(found.c[name], Double)).label(name) for name in (*COUNTS, "cost")),
        *_durations(found.c, "took"),
    ).group_by(found.c.workflow_id, found.c.name)


def latest_runs(since: datetime, until: datetime, workflow_id: str | None, limit: int) -> Select[Any]:
    """The runs that ended last, or of which was heard last."""
    return (
        select(
            *(runs.c[name] for name in ("correlation_id", "workflow_id", "workflow_run_id", "state")),
            *(runs.c[name] for name in ("duration_ms", "total_tokens", "cost")),
            _ENDED_OR_HEARD.label("ended_or_heard"),
        )
        .where(_ended_or_heard_within(since, until), *_of_workflow(runs.c.workflow_id, workflow_id))
        .order_by(_ENDED_OR_HEARD.desc(), runs.c.correlation_id.desc())
        .limit(limit)
    )


def steps_of(correlation_ids: Collection[UUID]) -> Select[Any]:
    """The steps of these runs, as :class:`StepRow` names them."""
    told = or_(steps.c.node_rank.is_not(None), steps.c.counts_rank.is_not(None)).label("told")
    columns = [told if name == "told" else steps.c[name] for name in StepRow._fields]
    return select(steps.c.correlation_id, *columns).where(steps.c.correlation_id.in_(correlation_ids))


def states_over_time(
    since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
) -> Select[Any]:
    """How many runs are in which state, for each stretch of time that has any."""
    found = (
        select(runs.c.state, _number(_ENDED_OR_HEARD, first, bucket))
        .where(_ended_or_heard_within(since, until), *_of_workflow(runs.c.workflow_id, workflow_id))
        .subquery()
    )
    return select(found.c.number, found.c.state, func.count().label("runs")).group_by(found.c.number, found.c.state)


def latencies_over_time(
    since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
) -> Select[Any]:
    """How long runs took, for each stretch of time in which any ended."""
    turnaround = cast(_epoch(runs.c.finished_at) - _epoch(runs.c.requested_at), Double) / 1000.0
    ended = (
        select(
            _number(runs.c.finished_at, first, bucket),
            runs.c.duration_ms.label("duration"),
            turnaround.label("turnaround"),
        )
        .where(_ended_within(since, until), *_of_workflow(runs.c.workflow_id, workflow_id))
        .subquery()
    )
    found = select(
        ended,
        *_ranked(ended.c.duration, "duration", by=(ended.c.number,)),
        *_ranked(ended.c.turnaround, "turnaround", by=(ended.c.number,)),
    ).subquery()
    return select(
        found.c.number,
        func.count().label("runs"),
        *_durations(found.c, "duration"),
        *_durations(found.c, "turnaround"),
    ).group_by(found.c.number)


def _of_workflow(column: ColumnElement[str], workflow_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if workflow_id is None else (column == workflow_id,)


def _ended_or_heard_within(since: datetime, until: datetime) -> ColumnElement[bool]:
    """In two parts, so that each has its index."""
    return or_(
        _ended_within(since, until),
        and_(_GOES_ON, runs.c.updated_at >= since, runs.c.updated_at < until),
    )


def _ended_within(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(~_GOES_ON, runs.c.finished_at >= since, runs.c.finished_at < until)


def _epoch(time: ColumnElement[datetime]) -> ColumnElement[int]:
    return epoch_microseconds(time)


def _number(time: ColumnElement[datetime], first: datetime, bucket: timedelta) -> ColumnElement[int]:
    """In which stretch, counted from 0, a time lies."""
    since_first = _epoch(time) - literal(microseconds(first), BigInteger)
    width = literal(bucket // timedelta(microseconds=1), BigInteger)
    return cast(since_first // width, Integer).label("number")


def _ranked(
    value: ColumnElement[Any], name: str, *, by: tuple[ColumnElement[Any], ...]
) -> Iterator[ColumnElement[int]]:
    """The place of each value among those that are known, and how many these are."""
    in_order = (case((value.is_(None), 1), else_=0), value)
    yield func.row_number().over(partition_by=by, order_by=in_order).label(f"{name}_place")
    yield func.count(value).over(partition_by=by).label(f"{name}_count")


def _durations(found: ReadOnlyColumnCollection[str, Any], name: str) -> Iterator[ColumnElement[Any]]:
    value, place, count = found[name], found[f"{name}_place"], found[f"{name}_count"]
    yield func.count(value).label(f"{name}_measured")
    yield func.avg(value).label(f"{name}_mean")
    for percent in (50, 95):
        yield func.max(case((place == nearest_rank(count, percent), value))).label(f"{name}_p{percent}")
