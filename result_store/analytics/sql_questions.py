"""The questions, answered by the store's own database: what there is without ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select

from result_store.analytics import sql_statements
from result_store.analytics.asking import AskedQuestions
from result_store.database.engine import reading
from result_store.database.faults import mapped

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["SqlQuestions"]


class SqlQuestions(AskedQuestions[Select[Any]]):
    """Asks SQLite or PostgreSQL; a :class:`~result_store.analytics.questions.Questions`.

    Args:
        engine: the store's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(sql_statements)
        self._engine = reading(engine)

    async def _rows(self, statement: Select[Any]) -> list[dict[str, Any]]:
        with mapped("answer for the analytics"):
            async with self._engine.connect() as connection:
                return [dict(row) for row in (await connection.execute(statement)).mappings()]
