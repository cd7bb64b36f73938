"""One transaction that writes rows, on either kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select

from result_store.database.engine import IMMEDIATE
from result_store.database.merging import RULES
from result_store.database.tables import runs
from result_store.database.upserts import RETURNED, sqlite_upsert, unnest_upsert

if TYPE_CHECKING:
    from uuid import UUID

    from asyncpg import Connection  # type: ignore[import-untyped]
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from result_store.database.merging import Row

__all__ = ["Writer", "writing"]

_STORED = [runs.c[column] for column in RETURNED["runs"]]


class Writer(Protocol):
    """Writes within one transaction."""

    def prepared(self, table: str, rows: Sequence[Row]) -> Any:
        """Rows, one of each key, in the form that :meth:`upsert` takes."""

    async def upsert(self, table: str, prepared: Any) -> Sequence[Sequence[Any]]:
        """Write rows; those that have changed are returned, as :data:`~.upserts.RETURNED` says."""

    async def stored(self, ids: Sequence[UUID]) -> Sequence[Sequence[Any]]:
        """What is returned of ``runs``, of rows that are there."""


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[Writer]:
    """A transaction: it is committed at the end, and rolled back where anything is raised.

    Raises:
        SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error, OSError: as the drivers raise them.
    """
    if engine.dialect.name == "postgresql":
        async with _postgres(engine) as writer:
            yield writer
    else:
        async with engine.connect() as connection:
            await connection.execution_options(**{IMMEDIATE: True})
            async with connection.begin():
                yield _SqliteWriter(connection)


@asynccontextmanager
async def _postgres(engine: AsyncEngine) -> AsyncIterator[Writer]:
    async with engine.connect() as connection:
        # Beside SQLAlchemy's own way: it would copy each array, and ask the server for what asyncpg knows.
        driver: Connection = (await connection.get_raw_connection()).driver_connection
        try:
            async with driver.transaction():
                yield _PostgresWriter(driver)
        except BaseException:
            if driver.is_closed() or driver.is_in_transaction():
                await connection.invalidate()
            raise


class _PostgresWriter:
    def __init__(self, driver: Connection) -> None:
        self._driver = driver

    def prepared(self, table: str, rows: Sequence[Row]) -> list[list[Any]]:
        return [_column(rows, column) for column in unnest_upsert(table).columns]

    async def upsert(self, table: str, prepared: list[list[Any]]) -> Sequence[Sequence[Any]]:
        found: list[Any] = await self._driver.fetch(unnest_upsert(table).sql, *prepared)
        return found

    async def stored(self, ids: Sequence[UUID]) -> Sequence[Sequence[Any]]:
        columns = ", ".join(RETURNED["runs"])
        found: list[Any] = await self._driver.fetch(
            f"SELECT {columns} FROM runs WHERE correlation_id = ANY($1::uuid[])",  # noqa: S608 - column names of ours
            ids,
        )
        return found


def _column(rows: Sequence[Row], column: str) -> list[Any]:
    """The values of a column; none where all are null, for ``unnest`` fills the shorter of its arrays up with nulls."""
    values = [row.get(column) for row in rows]
    return [] if values.count(None) == len(values) else values


class _SqliteWriter:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def prepared(self, table: str, rows: Sequence[Row]) -> list[Row]:
        columns = RULES[table].columns
        return [{column: row.get(column) for column in columns} for row in rows]

    async def upsert(self, table: str, prepared: list[Row]) -> Sequence[Sequence[Any]]:
        result = await self._connection.execute(sqlite_upsert(table), prepared)
        return result.all() if result.returns_rows else ()

    async def stored(self, ids: Sequence[UUID]) -> Sequence[Sequence[Any]]:
        found: list[Any] = []
        for start in range(0, len(ids), 1000):
            some = select(*_STORED).where(runs.c.correlation_id.in_(ids[start : start + 1000]))
            found.extend((await self._connection.execute(some)).all())
        return found
