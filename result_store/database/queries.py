"""What may be asked of the rows, and what is answered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from result_store.database.answers import (
    batch_summaries,
    dead_letter_record,
    invalid_message_record,
    run_record,
    run_summary,
    timeline_entry,
    whole_batch,
    whole_batch_json,
)
from result_store.database.asking import Asking
from result_store.database.cursors import decode_cursor, encode_cursor
from result_store.database.statements import (
    NEWEST,
    PLACE,
    Question,
    batch_query,
    batches_query,
    count_query,
    places_query,
    run_query,
    runs_query,
    state_query,
    timeline_query,
    told_run_query,
)
from result_store.database.tables import dead_letters, invalid_messages
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
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["ResultQueries"]

_Whole = TypeVar("_Whole")

_NEWEST_TYPES: Final = (datetime, UUID)
_PLACE_TYPES: Final = (datetime, str, int, int)


class ResultQueries:
    """Questions about what is stored. Each takes a scope, and sees nothing outside of it.

    All raise :class:`~result_store.errors.DatabaseError` where the database refuses or cannot be reached, and those that take a
    cursor :class:`~result_store.errors.InvalidCursorError` where it is none of theirs.

    Args:
        engine: the database's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._asking = Asking(engine)

    async def run(self, correlation_id: UUID, scope: Scope = EVERYBODY) -> RunRecord | None:
        """All that is known of a request, with its timeline in order of time; None where nothing is."""
        timeline: Sequence[Iterable[object]]
        if self._asking.is_postgresql:
            rows = await self._one(told_run_query(correlation_id, scope))
            timeline = rows[0].timeline if rows else []
        else:
            rows, timeline = await self._asking.rows(run_query(correlation_id, scope), timeline_query(correlation_id))
        if not rows:
            return None
        return run_record(rows[0], [timeline_entry(values) for values in reversed(timeline)])

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
        return _page(rows, limit, "runs", NEWEST, run_summary)

    async def batch_status(
        self, workflow_run_id: str, scope: Scope = EVERYBODY, *, limit: int = 100, cursor: str | None = None
    ) -> BatchStatus | None:
        """How far a batch's requests have come, and a page of them in the order of their ids; None where there are none."""
        return await self._batch(workflow_run_id, scope, limit, cursor, whole_batch)

    async def batch_status_json(
        self, workflow_run_id: str, scope: Scope = EVERYBODY, *, limit: int = 100, cursor: str | None = None
    ) -> bytes | None:
        """As :meth:`batch_status`, as JSON."""
        found = await self._batch(workflow_run_id, scope, limit, cursor, whole_batch_json)
        return found.model_dump_json().encode() if isinstance(found, BatchStatus) else found

    async def _batch(
        self,
        workflow_run_id: str,
        scope: Scope,
        limit: int,
        cursor: str | None,
        whole: Callable[[str, Sequence[Row[Any]]], _Whole],
    ) -> BatchStatus | _Whole | None:
        after = decode_cursor("batch", (UUID,), cursor)
        page = batch_query(workflow_run_id, scope, limit, after)
        if after is None:
            rows = await self._one(page)
            if len(rows) <= limit:  # all of them: what they tell, the database need not count
                return whole(workflow_run_id, rows) if rows else None
        counts, rows = await self._asking.rows(count_query([workflow_run_id], scope), page)
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
        page = _page(newest, limit, "batches", NEWEST, lambda row: summaries.get(row.workflow_run_id))
        return Page(items=[item for item in page.items if item is not None], next=page.next)

    async def invalid_messages(self, *, limit: int = 50, cursor: str | None = None) -> Page[InvalidMessageRecord]:
        """Messages that are none, the latest first."""
        after = decode_cursor("invalid", _PLACE_TYPES, cursor)
        rows = await self._one(places_query(invalid_messages, limit, after))
        return _page(rows, limit, "invalid", PLACE, invalid_message_record)

    async def dead_letters(self, *, limit: int = 50, cursor: str | None = None) -> Page[DeadLetterRecord]:
        """Messages that workers have given up, the latest first."""
        after = decode_cursor("letters", _PLACE_TYPES, cursor)
        rows = await self._one(places_query(dead_letters, limit, after))
        return _page(rows, limit, "letters", PLACE, dead_letter_record)

    async def count_by_state(
        self, scope: Scope = EVERYBODY, *, states: Collection[RunState] | None = None
    ) -> dict[RunState, int]:
        """How many requests there are in each state; a state without any is absent.

        Args:
            states: count these alone, which is much less work where they are the ones of requests in flight; None: all.
        """
        rows = await self._one(state_query(scope, states))
        return {RunState(row.state): row.number for row in rows}

    async def _one(self, question: Question) -> Sequence[Row[Any]]:
        return (await self._asking.rows(question))[0]


def _page(
    rows: Sequence[Row[Any]], limit: int, kind: str, key: Sequence[str], item: Callable[[Row[Any]], Any]
) -> Page[Any]:
    following = None
    if len(rows) > limit:
        following = encode_cursor(kind, tuple(getattr(rows[limit - 1], column) for column in key))
    return Page(items=[item(row) for row in rows[:limit]], next=following)
