"""What may be asked of the rows. Each list is read along an index, a page at a time; the tests look at the plans."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import func, literal, literal_column, select, tuple_, union_all

from result_store.database.answers import (
    RECORD_COLUMNS,
    SUMMARY_COLUMNS,
    batch_summaries,
    dead_letter_record,
    invalid_message_record,
    run_record,
    run_summary,
    timeline_entry,
)
from result_store.database.cursors import decode_cursor, encode_cursor
from result_store.database.engine import reading
from result_store.database.faults import is_lost_connection, mapped
from result_store.database.tables import dead_letters, invalid_messages, run_events, runs
from result_store.records import (
    EVERYBODY,
    BatchStatus,
    BatchSummary,
    DeadLetterRecord,
    InvalidMessageRecord,
    Page,
    RunRecord,
    RunState,
    RunSummary,
    Scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Row, Select, Table
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.sql import FromClause

__all__ = ["LONGEST_TIMELINE", "ResultQueries"]

LONGEST_TIMELINE: Final = 5_000
"""The most entries of a run's timeline that are given; the latest are."""
_NEWEST: Final = ("updated_at", "correlation_id")
_NEWEST_TYPES: Final = (datetime, UUID)
_PLACE: Final = ("at", "topic", "partition", "offset")
_PLACE_TYPES: Final = (datetime, str, int, int)


class ResultQueries:
    """Questions about what is stored. Each takes a scope, and sees nothing outside of it.

    All raise :class:`~result_store.errors.DatabaseError` where the database refuses or cannot be reached, and those that take a
    cursor :class:`~result_store.errors.InvalidCursorError` where it is none of theirs.

    Args:
        engine: the database's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reading(engine)

    async def run(self, correlation_id: UUID, scope: Scope = EVERYBODY) -> RunRecord | None:
        """All that is known of a request, with its timeline in order of time; None where nothing is."""
        rows, timeline = await self._rows(run_query(correlation_id, scope), timeline_query(correlation_id))
        if not rows:
            return None
        return run_record(rows[0], [timeline_entry(row) for row in reversed(timeline)])

    async def runs(
        self,
        scope: Scope = EVERYBODY,
        *,
        states: Collection[RunState] | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Requests, the ones heard of last first.

        Args:
            states: those in one of these alone; None: all.
        """
        after = decode_cursor("runs", _NEWEST_TYPES, cursor)
        rows = await self._one(runs_query(scope, states, workflow_id, limit, after))
        return _page(rows, limit, "runs", _NEWEST, run_summary)

    async def batch_status(
        self, workflow_run_id: str, scope: Scope = EVERYBODY, *, limit: int = 100, cursor: str | None = None
    ) -> BatchStatus | None:
        """How far a batch's requests have come, and a page of them in the order of their ids; None where there are none."""
        after = decode_cursor("batch", (UUID,), cursor)
        counts, rows = await self._rows(
            count_query([workflow_run_id], scope), batch_query(workflow_run_id, scope, limit, after)
        )
        summaries = batch_summaries(counts)
        if workflow_run_id not in summaries:
            return None
        requests = _page(rows, limit, "batch", ("correlation_id",), run_summary)
        return BatchStatus(**dict(summaries[workflow_run_id]), requests=requests)

    async def batches(
        self, scope: Scope = EVERYBODY, *, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[BatchSummary]:
        """Batches, the ones heard of last first.

        Args:
            user_id: those with requests of this user alone, and only these requests counted; None: everybody's.
        """
        if user_id is not None:
            if scope.user_id not in {None, user_id}:
                return Page(items=[])
            scope = Scope(user_id, scope.tenant_id)
        after = decode_cursor("batches", _NEWEST_TYPES, cursor)
        newest = await self._one(batches_query(scope, limit, after))
        if not newest:
            return Page(items=[])
        counts = await self._one(count_query([row.workflow_run_id for row in newest[:limit]], scope))
        summaries = batch_summaries(counts)
        page = _page(newest, limit, "batches", _NEWEST, lambda row: summaries.get(row.workflow_run_id))
        return Page(items=[item for item in page.items if item is not None], next=page.next)

    async def invalid_messages(self, *, limit: int = 50, cursor: str | None = None) -> Page[InvalidMessageRecord]:
        """Messages that are none, the latest first."""
        after = decode_cursor("invalid", _PLACE_TYPES, cursor)
        rows = await self._one(places_query(invalid_messages, limit, after))
        return _page(rows, limit, "invalid", _PLACE, invalid_message_record)

    async def dead_letters(self, *, limit: int = 50, cursor: str | None = None) -> Page[DeadLetterRecord]:
        """Messages that workers have given up, the latest first."""
        after = decode_cursor("letters", _PLACE_TYPES, cursor)
        rows = await self._one(places_query(dead_letters, limit, after))
        return _page(rows, limit, "letters", _PLACE, dead_letter_record)

    async def count_by_state(
        self, scope: Scope = EVERYBODY, *, states: Collection[RunState] | None = None
    ) -> dict[RunState, int]:
        """How many requests there are in each state; a state without any is absent.

        Args:
            states: count these alone, which is much less work where they are the ones of requests in flight; None: all.
        """
        rows = await self._one(state_query(scope, states))
        return {RunState(row.state): row.number for row in rows}

    async def _one(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return (await self._rows(statement))[0]

    async def _rows(self, *statements: Select[Any]) -> list[Sequence[Row[Any]]]:
        with mapped("answer a query"):
            try:
                return await self._read(statements)
            except Exception as error:
                # The server may have been started anew since the connection was last used; over a new one it may answer.
                if not is_lost_connection(error):
                    raise
            return await self._read(statements)

    async def _read(self, statements: Sequence[Select[Any]]) -> list[Sequence[Row[Any]]]:
        async with self._engine.connect() as connection:
            return [(await connection.execute(statement)).all() for statement in statements]


def run_query(correlation_id: UUID, scope: Scope) -> Select[Any]:
    """One run's row."""
    return select(*RECORD_COLUMNS).where(runs.c.correlation_id == correlation_id, *_in_scope(runs, scope))


def timeline_query(correlation_id: UUID) -> Select[Any]:
    """Its timeline, backwards."""
    c = run_events.c
    return (
        select(run_events)
        .where(c.correlation_id == correlation_id)
        .order_by(c.at.desc(), c.event_key.desc())
        .limit(LONGEST_TIMELINE)
    )


def runs_query(
    scope: Scope,
    states: Collection[RunState] | None,
    workflow_id: str | None,
    limit: int,
    after: tuple[Any, ...] | None,
) -> Select[Any]:
    """A page of runs, and one more."""
    conditions = [*_in_scope(runs, scope), *_beyond(runs, _NEWEST, after)]
    if workflow_id is not None:
        conditions.append(runs.c.workflow_id == workflow_id)
    page = select(*SUMMARY_COLUMNS).where(*conditions)
    if states is None:
        return _newest_first(page, runs, limit)
    # Each state's newest, along the index, and of those the newest: no index gives several states in order of time.
    some = [
        select(_newest_first(page.where(runs.c.state == state), runs, limit).subquery())
        for state in sorted({RunState(state).value for state in states})
    ]
    if not some:
        return _newest_first(page.where(literal(value=False)), runs, limit)
    together = union_all(*some).subquery() if len(some) > 1 else some[0].subquery()
    return _newest_first(select(together), together, limit)


def batch_query(workflow_run_id: str, scope: Scope, limit: int, after: tuple[Any, ...] | None) -> Select[Any]:
    """A page of a batch's runs, and one more."""
    conditions = [runs.c.workflow_run_id == workflow_run_id, *_in_scope(runs, scope)]
    if after is not None:
        conditions.append(runs.c.correlation_id > after[0])
    return select(*SUMMARY_COLUMNS).where(*conditions).order_by(runs.c.correlation_id).limit(limit + 1)


def batches_query(scope: Scope, limit: int, after: tuple[Any, ...] | None) -> Select[Any]:
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
        *_in_scope(run, scope), *_beyond(run, _NEWEST, after), run.c.correlation_id == newest
    )
    return _newest_first(page, run, limit)


def count_query(workflow_run_ids: Sequence[str], scope: Scope) -> Select[Any]:
    """How many runs of each batch are in each state."""
    c = runs.c
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
        .where(c.workflow_run_id.in_(workflow_run_ids), *_in_scope(runs, scope))
        .group_by(c.workflow_run_id, state)
    )


def state_query(scope: Scope, states: Collection[RunState] | None = None) -> Select[Any]:
    """How many runs are in each state."""
    conditions = _in_scope(runs, scope)
    if states is not None:
        conditions.append(runs.c.state.in_(sorted({RunState(state).value for state in states})))
    return select(runs.c.state, func.count().label("number")).where(*conditions).group_by(runs.c.state)


def places_query(table: Table, limit: int, after: tuple[Any, ...] | None) -> Select[Any]:
    """A page of messages, the latest first, and one more."""
    return (
        select(table)
        .where(*_beyond(table, _PLACE, after))
        .order_by(*(table.c[column].desc() for column in _PLACE))
        .limit(limit + 1)
    )


def _in_scope(table: FromClause, scope: Scope) -> list[ColumnElement[bool]]:
    wanted = {"user_id": scope.user_id, "tenant_id": scope.tenant_id}
    return [table.c[column] == value for column, value in wanted.items() if value is not None]


def _beyond(table: FromClause, columns: Sequence[str], after: tuple[Any, ...] | None) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    values = (literal(value, table.c[column].type) for column, value in zip(columns, after, strict=True))
    return [tuple_(*(table.c[column] for column in columns)) < tuple_(*values)]


def _newest_first(page: Select[Any], table: FromClause, limit: int) -> Select[Any]:
    return page.order_by(*(table.c[column].desc() for column in _NEWEST)).limit(limit + 1)


def _page(
    rows: Sequence[Row[Any]], limit: int, kind: str, key: Sequence[str], item: Callable[[Row[Any]], Any]
) -> Page[Any]:
    following = None
    if len(rows) > limit:
        following = encode_cursor(kind, tuple(getattr(rows[limit - 1], column) for column in key))
    return Page(items=[item(row) for row in rows[:limit]], next=following)
