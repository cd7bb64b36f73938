"""The store's database: what messages tell is written here, and asked for through :attr:`ResultDatabase.queries`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import text

from result_store.database import migrations
from result_store.database.engine import check_place, make_engine
from result_store.database.faults import mapped
from result_store.database.merging import RULES
from result_store.database.queries import ResultQueries
from result_store.database.writing import writing
from result_store.errors import SchemaVersionError
from result_store.records import PHASES, RunState, StoredEvent
from result_store.rows import rows_of
from workflow_events.task_groups import first_error

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncEngine

    from result_store.archive_keys import ArchiveObject
    from result_store.database.writing import Writer
    from result_store.facts import Fact
    from result_store.rows import BatchRows
    from result_store.settings import StoreSettings

__all__ = ["Keep", "ResultDatabase", "Saved"]

_OTHERS: Final = tuple(table for table in RULES if table not in {"archive_objects", "runs"})
_T = TypeVar("_T")

Keep = Callable[[Sequence["ArchiveObject"]], Awaitable[None]]
"""Puts messages to the archive; what it raises undoes the transaction."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a batch has changed.

    Attributes:
        changed: the requests whose rows or timeline are other than before, as they are now.
    """

    changed: tuple[StoredEvent, ...]


class ResultDatabase:
    """Rows in SQLite or PostgreSQL. It connects when first needed; :meth:`start` looks whether it can.

    Args:
        settings: name the database.

    Attributes:
        engine: SQLAlchemy's, for those who keep tables of their own here.
        queries: what may be asked.

    Raises:
        DatabaseError: the settings name a database that cannot serve.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self.engine: AsyncEngine = make_engine(settings)
        self.queries = ResultQueries(self.engine)
        # SQLite has one writer at a time, and who finds another at work looks again only after a pause.
        self._turn: AbstractAsyncContextManager[object] = nullcontext() if settings.is_postgresql else asyncio.Lock()

    async def start(self, *, migrate: bool = False) -> None:
        """Look whether the database is there and has the tables that this version needs.

        Args:
            migrate: bring its tables up to date first.

        Raises:
            SchemaVersionError: it has other tables.
            DatabaseError: it cannot be reached.
        """
        check_place(self._settings)
        if migrate:
            await asyncio.to_thread(migrations.upgrade, self._settings)
            return
        await self.ping()
        found = await asyncio.to_thread(migrations.current, self._settings)
        missing = migrations.missing(found)
        if missing is not None:
            raise SchemaVersionError(missing)

    async def ping(self) -> None:
        """Ask it something.

        Raises:
            DatabaseError: it does not answer.
        """
        with mapped("answer"):
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    async def save(self, facts: Sequence[Fact], *, keep: Keep | None = None) -> Saved:
        """Write what messages tell, in one transaction. Any replay, in any order, makes the same rows.

        Args:
            keep: puts to the archive those messages that are not there in this version; it is awaited before the rows that
                refer to them are committed. Without it no row refers to the archive, and results of any size are in their rows.

        Raises:
            DatabaseError: nothing was written; its ``retryable`` says whether trying again may help.
            UnstorableError: nothing was written, and will never be while the message that is to blame is among the facts.
        """
        if not facts:
            return Saved(())
        rows = rows_of(facts, archives=keep is not None, inline_bytes=self._settings.inline_result_bytes)
        try:
            with mapped("save a batch"):
                async with self._turn, writing(self.engine) as writer:
                    changed = await _write(writer, rows, keep)
        except _NotKeptError as error:
            raise error.reason from None
        return Saved(
            tuple(sorted(map(_stored_event, changed), key=lambda event: (event.updated_at, event.correlation_id)))
        )


class _NotKeptError(Exception):
    """Carries what the archive raised past the database's errors."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason


async def _put(keep: Keep, objects: Sequence[ArchiveObject]) -> None:
    try:
        await keep(objects)
    except Exception as error:
        raise _NotKeptError(error) from error


async def _write(writer: Writer, batch: BatchRows, keep: Keep | None) -> list[Sequence[Any]]:
    objects = batch.of("archive_objects")
    if objects and keep is not None:
        newer = await writer.upsert("archive_objects", writer.prepared("archive_objects", objects))
        if newer:
            await _put(keep, [batch.objects[key] for (key,) in newer])

    others: dict[str, Any] = {}

    def prepare_others() -> None:
        for table in _OTHERS:
            rows = batch.of(table)
            if rows:
                others[table] = writer.prepared(table, rows)

    changed: dict[UUID, Sequence[Any]] = {}
    runs = batch.of("runs")
    if runs:
        returned = await _meanwhile(writer.upsert("runs", writer.prepared("runs", runs)), prepare_others)
        changed.update((row[0], row) for row in returned)
    else:
        prepare_others()
    touched: set[UUID] = set()
    for table, prepared in others.items():
        touched.update(row[0] for row in await writer.upsert(table, prepared))
    touched -= changed.keys()
    if touched:
        changed.update((row[0], row) for row in await writer.stored(sorted(touched)))
    return list(changed.values())


async def _meanwhile(work: Coroutine[Any, Any, _T], step: Callable[[], None]) -> _T:
    """Do a step that waits for nothing while the database is at work."""

    async def run() -> None:
        step()

    with first_error():
        async with asyncio.TaskGroup() as group:
            working = group.create_task(work)
            group.create_task(run())
    return working.result()


def _stored_event(row: Sequence[Any]) -> StoredEvent:
    correlation_id, workflow_id, workflow_run_id, state, user_id, tenant_id, updated_at = row
    return StoredEvent(
        correlation_id=correlation_id,
        workflow_id=workflow_id,
        workflow_run_id=workflow_run_id,
        state=state,
        phase=PHASES[RunState(state)],
        user_id=user_id,
        tenant_id=tenant_id,
        updated_at=updated_at,
    )
