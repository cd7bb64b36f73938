"""The statements that ask the rows. Each list is read along an index, a page at a time; the tests look at the plans."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Integer, bindparam, func, literal, literal_column, select, tuple_, union_all

from result_store.database.answers import RECORD_COLUMNS, SUMMARY_COLUMNS, TIMELINE_COLUMNS
from result_store.database.tables import run_events, runs
from result_store.records import RunState, Scope

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select, Table
    from sqlalchemy.sql import FromClause

__all__ = [
    "LONGEST_TIMELINE",
    "NEWEST",
    "PLACE",
    "Question",
    "batch_query",
    "batches_query",
    "count_query",
    "places_query",
    "run_query",
    "runs_query",
    "state_query",
    "timeline_query",
    "told_run_query",
]

LONGEST_TIMELINE: Final = 5_000
"""The most entries of a run's timeline that are given; the latest are."""
NEWEST: Final = ("updated_at", "correlation_id")
"""What lists of runs are sorted by, backwards."""
PLACE: Final = ("at", "topic", "partition", "offset")
"""What lists of messages are sorted by, backwards."""


class Question(NamedTuple):
    """A statement, and the values of what it leaves open.

    Those that are asked most leave all open and are made once: to make a statement costs more than to send it.
    """

    statement: Select[Any]
    values: Mapping[str, Any] = MappingProxyType({})


def run_query(correlation_id: UUID, scope: Scope) -> Question:
    """One run's row."""
    return Question(_run_statement(_shape(scope)), {"run": correlation_id, **_owner(scope)})


def timeline_query(correlation_id: UUID) -> Question:
    """Its timeline, backwards."""
    return Question(_TIMELINE, {"run": correlation_id})


def told_run_query(correlation_id: UUID, scope: Scope) -> Question:
    """Both at once, of PostgreSQL: in the row's column ``timeline`` the timeline's rows are, backwards, as an array."""
    return Question(_told_run_statement(_shape(scope)), {"run": correlation_id, **_owner(scope)})


def runs_query(
    scope: Scope,
    states: Collection[RunState] | None,
    workflow_id: str | None,
    limit: int,
    after: tuple[Any, ...] | None,
) -> Question:
    """A page of runs, and one more."""
    conditions = [*_in_scope(runs, scope), *_beyond(runs, NEWEST, after)]
    if workflow_id is not None:
        conditions.append(runs.c.workflow_id == workflow_id)
    page = select(*SUMMARY_COLUMNS).where(*conditions)
    if states is None:
        return Question(_newest_first(page, runs, limit))
    # Each state's newest, along the index, and of those the newest: no index gives several states in order of time.
    some = [
        select(_newest_first(page.where(runs.c.state == state), runs, limit).subquery())
        for state in sorted({RunState(state).value for state in states})
    ]
    if not some:
        return Question(_newest_first(page.where(literal(value=False)), runs, limit))
    together = union_all(*some).subquery() if len(some) > 1 else some[0].subquery()
    return Question(_newest_first(select(together), together, limit))


def batch_query(workflow_run_id: str, scope: Scope, limit: int, after: tuple[Any, ...] | None) -> Question:
    """A page of a batch's runs, and one more."""
    values = {"batch": workflow_run_id, "most": limit + 1, **_owner(scope)}
    if after is not None:
        values["after"] = after[0]
    return Question(_batch_statement(_shape(scope), after is not None), values)


def batches_query(scope: Scope, limit: int, after: tuple[Any, ...] | None) -> Question:
    """The newest run of each batch, a page of them and one more."""
    run, other = runs.alias("run"), runs.alias("other")
    newest = (
        select(other.c.correlation_id)
        .where(other.c.workflow_run_id == run.c.workflow_run_id, *_in_scope(other, scope))
        .order_by(other.c.updated_at.desc(), other.c.correlation_id.desc())
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )
    page = select(run.c.workflow_run_id, run.c.updated_at, run.c.correlation_id).where(
        *_in_scope(run, scope), *_beyond(run, NEWEST, after), run.c.correlation_id == newest
    )
    return Question(_newest_first(page, run, limit))


def count_query(workflow_run_ids: Sequence[str], scope: Scope) -> Question:
    """How many runs of each batch are in each state."""
    owner = _owner(scope)
    if len(workflow_run_ids) == 1:
        return Question(_count_statement(tuple(owner), one=True), {"batch": workflow_run_ids[0], **owner})
    return Question(_count_statement(tuple(owner), one=False), {"batches": workflow_run_ids, **owner})


def state_query(scope: Scope, states: Collection[RunState] | None = None) -> Question:
    """How many runs are in each state, or in each of some."""
    conditions = _in_scope(runs, scope)
    if states is not None:
        conditions.append(runs.c.state.in_(sorted({RunState(state).value for state in states})))
    return Question(select(runs.c.state, func.count().label("number")).where(*conditions).group_by(runs.c.state))


def places_query(table: Table, limit: int, after: tuple[Any, ...] | None) -> Question:
    """A page of messages, the latest first, and one more."""
    page = select(table).where(*_beyond(table, PLACE, after))
    return Question(page.order_by(*(table.c[column].desc() for column in PLACE)).limit(limit + 1))


_TIMELINE: Final = (
    select(*TIMELINE_COLUMNS)
    .where(run_events.c.correlation_id == bindparam("run"))
    .order_by(run_events.c.at.desc(), run_events.c.event_key.desc())
    .limit(LONGEST_TIMELINE)
)


@cache
def _run_statement(owned_by: tuple[str, ...]) -> Select[Any]:
    return select(*RECORD_COLUMNS).where(runs.c.correlation_id == bindparam("run"), *_owned(owned_by))


@cache
def _told_run_statement(owned_by: tuple[str, ...]) -> Select[Any]:
    entry = func.row(*TIMELINE_COLUMNS)
    entries = _TIMELINE.with_only_columns(entry, maintain_column_froms=True).scalar_subquery()
    return _run_statement(owned_by).add_columns(func.array(entries).label("timeline"))


@cache
def _batch_statement(owned_by: tuple[str, ...], goes_on: bool) -> Select[Any]:  # noqa: FBT001 - a key of the cache
    c = runs.c
    page = select(*SUMMARY_COLUMNS).where(c.workflow_run_id == bindparam("batch"), *_owned(owned_by))
    if goes_on:
        page = page.where(c.correlation_id > bindparam("after"))
    return page.order_by(c.correlation_id).limit(bindparam("most", type_=Integer))


@cache
def _count_statement(owned_by: tuple[str, ...], *, one: bool) -> Select[Any]:
    c = runs.c
    batch = c.workflow_run_id
    asked = batch == bindparam("batch") if one else batch.in_(bindparam("batches", expanding=True))
    # SQLite would read all rows in the order of the index on the states, to group by them; by an expression it does not.
    state = c.state.concat(literal_column("''"))
    return (
        select(
            c.workflow_run_id,
            state.label("state"),
            func.count().label("number"),
            func.min(c.requested_at).label("requested_at"),
            func.max(c.updated_at).label("updated_at"),
        )
        .where(asked, *_owned(owned_by))
        .group_by(c.workflow_run_id, state)
    )


def _owner(scope: Scope) -> dict[str, Any]:
    """The columns that a scope sets, and their values."""
    wanted = {"user_id": scope.user_id, "tenant_id": scope.tenant_id}
    return {column: value for column, value in wanted.items() if value is not None}


def _shape(scope: Scope) -> tuple[str, ...]:
    return tuple(_owner(scope))


def _owned(columns: tuple[str, ...]) -> list[ColumnElement[bool]]:
    return [runs.c[column] == bindparam(column) for column in columns]


def _in_scope(table: FromClause, scope: Scope) -> list[ColumnElement[bool]]:
    return [table.c[column] == value for column, value in _owner(scope).items()]


def _beyond(table: FromClause, columns: Sequence[str], after: tuple[Any, ...] | None) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    values = (literal(value, table.c[column].type) for column, value in zip(columns, after, strict=True))
    return [tuple_(*(table.c[column] for column in columns)) < tuple_(*values)]


def _newest_first(page: Select[Any], table: FromClause, limit: int) -> Select[Any]:
    return page.order_by(*(table.c[column].desc() for column in NEWEST)).limit(limit + 1)
