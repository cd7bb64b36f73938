"""Copies what has changed to ClickHouse, where the analytics' questions scale out.

What is written are the rows as the store's database has merged them, so the same messages make the same rows there. Of two copies
of a row the one with the higher version counts. The version is a time, of one clock, read after the change was committed and
before the row is read: whoever commits a change writes a copy with it under a version that no copy without it can have, whichever
of two processors is slower to write.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import func, select

from result_store.analytics.clickhouse_connection import ClickHouse, Started
from result_store.analytics.clickhouse_tables import TABLES, CopiedTable
from result_store.analytics.sql_times import epoch_microseconds
from result_store.database.faults import mapped
from result_store.database.tables import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from result_store.records import StoredEvent
    from result_store.settings import StoreSettings

__all__ = ["ClickHouseSink"]

_IDS_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 20_000
_READING: Final = "give the rows that ClickHouse gets"


class ClickHouseSink(Started):
    """Writes to ClickHouse, as an async context manager.

    Args:
        settings: where ClickHouse is.
        engine: the store's database, from which rows are copied.
    """

    def __init__(self, settings: StoreSettings, engine: AsyncEngine) -> None:
        self._clickhouse = ClickHouse(settings)
        self._engine = engine

    async def start(self) -> None:
        """Connect, and make the tables and columns that are not there.

        Raises:
            AnalyticsError: ClickHouse cannot be reached, or refuses.
        """
        await self._clickhouse.start()
        for table in TABLES:
            for statement in table.statements():
                await self._clickhouse.command(statement)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._clickhouse.close()

    async def ping(self) -> None:
        """See whether ClickHouse answers.

        Raises:
            AnalyticsError: it does not.
        """
        await self._clickhouse.ping()

    async def write(self, changed: Sequence[StoredEvent]) -> None:
        """Copy the runs that have changed, with their steps and decisions, as they are now.

        Raises:
            AnalyticsError: not all of it was written; writing it again does no harm.
            DatabaseError: the store's database did not give the rows.
        """
        await self.copy(event.correlation_id for event in changed)

    async def copy(self, correlation_ids: Iterable[UUID]) -> None:
        """Copy these runs, whether or not they have changed: what a processor that died after its commit has left out.

        Raises:
            AnalyticsError: as :meth:`write`.
            DatabaseError: likewise.
        """
        wanted = sorted(set(correlation_ids))
        for begin in range(0, len(wanted), _IDS_AT_ONCE):
            await self._copy(wanted[begin : begin + _IDS_AT_ONCE])

    async def refill(self) -> int:
        """Copy all that is in the store's database; how many runs these were.

        For a ClickHouse that is new, or was away. Processors may go on meanwhile.

        Raises:
            AnalyticsError: as :meth:`write`.
            DatabaseError: likewise.
        """
        copied, last = 0, None
        while True:
            page = select(runs.c.correlation_id).order_by(runs.c.correlation_id).limit(_IDS_AT_ONCE)
            if last is not None:
                page = page.where(runs.c.correlation_id > last)
            with mapped(_READING):
                async with self._engine.connect() as connection:
                    found = (await connection.execute(page)).scalars().all()
            if not found:
                return copied
            await self._copy(found)
            copied, last = copied + len(found), found[-1]

    async def _copy(self, correlation_ids: Sequence[UUID]) -> None:
        with mapped(_READING):
            async with self._engine.connect() as connection:
                version = await self._now(connection)
                for table in TABLES:
                    await self._copy_table(connection, table, correlation_ids, version)

    async def _copy_table(
        self, connection: AsyncConnection, table: CopiedTable, correlation_ids: Sequence[UUID], version: int
    ) -> None:
        wanted = select(*table.read).where(table.source.c.correlation_id.in_(correlation_ids))
        async with connection.stream(wanted) as found:
            async for rows in found.mappings().partitions(_ROWS_AT_ONCE):
                copies = [table.row({**row}, version) for row in rows]
                await self._clickhouse.insert(table.name, table.columns, copies)

    async def _now(self, connection: AsyncConnection) -> int:
        """Microseconds of the one clock that all who write to this database share: its server's, or this machine's."""
        if connection.dialect.name == "postgresql":
            return int(await connection.scalar(select(epoch_microseconds(func.clock_timestamp()))) or 0)
        return time.time_ns() // 1000
