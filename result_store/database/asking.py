"""The way of a question to the database and of its rows back.

What is asked most goes to asyncpg itself, by a statement that SQLAlchemy has compiled once: the rest of SQLAlchemy's way would
cost several times what the database takes to find one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from result_store.database.engine import reading
from result_store.database.faults import is_lost_connection, mapped

if TYPE_CHECKING:
    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from result_store.database.statements import Question

__all__ = ["Asking"]

_POSTGRESQL = asyncpg_dialect()  # type: ignore[no-untyped-call]


class Asking:
    """Asks single questions that only read.

    Attributes:
        is_postgresql: which of the two databases it is.

    Args:
        engine: the database's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reading(engine)
        self.is_postgresql = engine.dialect.name == "postgresql"

    async def rows(self, *questions: Question) -> list[Sequence[Row[Any]]]:
        """The rows of each, by one connection.

        Raises:
            DatabaseError: the database refuses or cannot be reached.
        """
        with mapped("answer a query"):
            # The server may have been started anew since the pool's connections were last used. Where one was lost, another may
            # be as well; SQLAlchemy drops them all once it has met one.
            for directly in (True, False):
                try:
                    return await self._ask(questions, directly=directly and self.is_postgresql)
                except Exception as error:
                    if not is_lost_connection(error):
                        raise
            return await self._ask(questions, directly=False)

    async def _ask(self, questions: Sequence[Question], *, directly: bool) -> list[Sequence[Row[Any]]]:
        if directly:
            prepared = [
                (native, values) for statement, values in questions if values and (native := _native(statement))
            ]
            if len(prepared) == len(questions):
                return await self._directly(prepared)
        async with self._engine.connect() as connection:
            return [(await connection.execute(statement, values)).all() for statement, values in questions]

    async def _directly(self, prepared: Sequence[tuple[_Native, Mapping[str, Any]]]) -> list[Sequence[Row[Any]]]:
        # No transaction of SQLAlchemy's begins on it, so there is none to end, and to give it back waits for nothing.
        pooled = await self._engine.raw_connection()
        try:
            driver: Any = pooled.driver_connection
            try:
                return [
                    await driver.fetch(native.sql, *native.told(values), record_class=_Row)
                    for native, values in prepared
                ]
            except BaseException:
                if driver.is_closed():
                    pooled.invalidate()
                raise
        finally:
            pooled.close()


class _Native(NamedTuple):
    sql: str
    names: tuple[str, ...]
    fixed: dict[str, Any]

    def told(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order that the statement takes them in."""
        return [values[name] if name in values else self.fixed[name] for name in self.names]


class _Row(asyncpg.Record):  # type: ignore[misc]  # asyncpg is untyped
    """A row whose columns are attributes, as SQLAlchemy's are."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def _asdict(self) -> dict[str, Any]:
        return dict(self)


@cache
def _native(statement: Select[Any]) -> _Native | None:
    """A statement as asyncpg takes it; None where it depends on how many values there are."""
    compiled = statement.compile(dialect=_POSTGRESQL)
    if "POSTCOMPILE" in str(compiled):
        return None
    return _Native(str(compiled), tuple(compiled.positiontup or ()), compiled.params)
