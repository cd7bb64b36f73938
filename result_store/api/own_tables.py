"""The API's own tables, of keys and sign-ins: single statements, over the database's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from result_store.database.engine import IMMEDIATE, reading
from result_store.database.faults import is_lost_connection, mapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Executable, Row, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["OwnTables"]


class OwnTables:
    """Reads and writes them.

    Args:
        engine: the database's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._reading = reading(engine)
        self._writing = engine.execution_options(**{IMMEDIATE: True})

    async def read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """The rows that a query finds.

        Raises:
            DatabaseError: the database refuses, or cannot be reached.
        """
        with mapped("look up an API key"):
            try:
                return await self._read(query)
            except Exception as error:
                # The server may have been started anew since the connection was last used; over a new one it may answer.
                if not is_lost_connection(error):
                    raise
            return await self._read(query)

    async def write(self, *statements: Executable) -> int:
        """Run some statements in one transaction; how many rows the last one has changed.

        Raises:
            DatabaseError: the database refuses, or cannot be reached.
            UnstorableError: it will never take the row.
        """
        changed = 0
        with mapped("write an API key"):
            async with self._writing.begin() as connection:
                for statement in statements:
                    changed = (await connection.execute(statement)).rowcount
        return changed

    async def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self._reading.connect() as connection:
            found: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return found
