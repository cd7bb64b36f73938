"""The baseline of the store's ingest: the same rows, by one bare ``unnest`` upsert for each table and batch, through asyncpg.

It overwrites what is there, compares nothing and returns nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.dialects import postgresql

from result_store.database import tables

if TYPE_CHECKING:
    from sqlalchemy import Table

__all__ = ["Rows", "connected", "write"]


Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows by tables."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def write(connection: asyncpg.Connection, batches: Sequence[Rows]) -> None:
    """Write each batch in a transaction."""
    for batch in batches:
        async with connection.transaction():
            for name, rows in batch.items():
                if rows:
                    await _upsert(connection, tables.metadata.tables[name], rows)


async def _upsert(connection: asyncpg.Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = tuple(column.name for column in table.columns if column.computed is None)
    await connection.execute(_statement(table, columns), *([row.get(column) for row in rows] for column in columns))


@cache
def _statement(table: Table, columns: tuple[str, ...]) -> str:
    key = [column.name for column in table.primary_key.columns]
    names = ", ".join(f'"{column}"' for column in columns)
    arrays = ", ".join(f"${place}::{_type(table, column)}[]" for place, column in enumerate(columns, start=1))
    changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in key)
    conflict = ", ".join(f'"{column}"' for column in key)
    return (
        f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays}) '  # noqa: S608 - our own tables' names
        f"ON CONFLICT ({conflict}) DO UPDATE SET {changes}"
    )


def _type(table: Table, column: str) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
    return table.c[column].type.compile(dialect=dialect).partition(" COLLATE ")[0]
