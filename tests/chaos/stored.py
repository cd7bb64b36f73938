"""When the checkpointer's database stored what: asked of the database itself, not of the workers."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_integration.checkpointers import open_checkpointer

__all__ = ["prepare", "stored_at"]

_TABLES = ("checkpoint_writes", "checkpoint_blobs")


def prepare(dsn: str) -> None:
    """Make LangGraph's tables, and have each row of them tell when it was inserted."""

    async def make() -> None:
        async with open_checkpointer(dsn):
            pass

    asyncio.run(make())
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in _TABLES:
            # LangGraph names the columns that it inserts, so one more does not concern it.
            connection.execute(f"ALTER TABLE {table} ADD COLUMN stored_at timestamptz DEFAULT clock_timestamp()")


def stored_at(dsn: str) -> dict[str, float]:
    """When each execution's write was first stored, by its token, in seconds since 1970."""
    serializer = JsonPlusSerializer()
    found: dict[str, float] = {}
    with psycopg.connect(dsn) as connection:
        for table in _TABLES:
            rows: Any = connection.execute(
                f"SELECT type, blob, extract(epoch FROM stored_at) FROM {table} "
                "WHERE channel = 'ran' AND blob IS NOT NULL AND type <> 'empty'"
            )
            for kind, blob, when in rows:
                for token in serializer.loads_typed((kind, bytes(blob))):
                    found[token] = min(float(when), found.get(token, float("inf")))
    return found
