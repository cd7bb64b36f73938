"""The baseline of the store's ingest: the same rows, by one bare ``unnest`` upsert for each table and batch, through asyncpg.

It overwrites what is there, compares nothing, returns nothing, and has its arrays made before the clock starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.dialects import postgresql

from result_store.database import tables

if TYPE_CHECKING:
    from sqlalchemy import Table

__all__ = ["BareBatch", "bare_batch", "write"]


@dataclass(frozen=True, slots=True)
class BareBatch:
    """The statements of one batch, each with an array for each column."""

    statements: list[tuple[str, list[list[Any]]]]
    rows: int


def bare_batch(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> BareBatch:
    """A batch of rows, by tables."""
    statements = []
    for name, of_table in rows.items():
        if not of_table:
            continue
        table = tables.metadata.tables[name]
        columns = [column.name for column in table.columns if any(column.name in row for row in of_table)]
        statements.append((_statement(table, columns), [[row.get(column) for row in of_table] for column in columns]))
    return BareBatch(statements, sum(map(len, rows.values())))


async def write(dsn: str, batches: Sequence[BareBatch]) -> None:
    """Write the batches, each in a transaction."""
    connection = await asyncpg.connect(dsn)
    try:
        for batch in batches:
            async with connection.transaction():
                for statement, arrays in batch.statements:
                    await connection.execute(statement, *arrays)
    finally:
        await connection.close()


def _statement(table: Table, columns: Sequence[str]) -> str:
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
    return table.c[column].type.compile(dialect=postgresql.dialect()).partition(" COLLATE ")[0]
