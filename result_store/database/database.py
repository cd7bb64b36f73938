"""The store's database: what messages tell is written here, and asked for through :attr:`ResultDatabase.queries`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from result_store.database import migrations
from result_store.database.engine import check_place, make_engine
from result_store.database.faults import mapped
from result_store.database.queries import ResultQueries
from result_store.database.writing import writing
from result_store.errors import SchemaVersionError
from result_store.records import PHASES, RunState, StoredEvent
from result_store.rows import rows_of

if TYPE_CHECKING:
    from typing import Any
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncEngine

    from result_store.archive_keys import ArchiveObject
    from result_store.database.writing import Writer
    from result_store.facts import Fact
    from result_store.rows import BatchRows
    from result_store.settings import StoreSettings

__all__ = ["Keep", "ResultDatabase", "Saved"]

log = logging.getLogger(__name__)

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
        rows = rows_of(facts, archives=keep is not None, inline_bytes=self._settings.inline_result_bytes)
        if not any(rows.tables.values()):
            return Saved(())
        try:
            with mapped("save a batch"):
                async with writing(self.engine) as writer:
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


async def _write(writer: Writer, rows: BatchRows, keep: Keep | None) -> list[Sequence[Any]]:
    changed: dict[UUID, Sequence[Any]] = {}
    others: set[UUID] = set()
    for table, some in rows.tables.items():
        if not some:
            continue
        returned = await writer.upsert(table, some)
        if table == "archive_objects":
            if returned and keep is not None:
                await _put(keep, [rows.objects[key] for (key,) in returned])
        elif table == "runs":
            changed.update((row[0], row) for row in returned)
        else:
            others.update(row[0] for row in returned)
    others -= changed.keys()
    if others:
        changed.update((row[0], row) for row in await writer.stored(sorted(others)))
    return list(changed.values())


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
