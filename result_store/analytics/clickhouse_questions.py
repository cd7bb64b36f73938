"""The questions, answered by ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from result_store.analytics import clickhouse_statements
from result_store.analytics.asking import AskedQuestions
from result_store.analytics.clickhouse_connection import ClickHouse, Started
from result_store.analytics.clickhouse_statements import Statement

if TYPE_CHECKING:
    from result_store.settings import StoreSettings

__all__ = ["ClickHouseQuestions"]


class ClickHouseQuestions(AskedQuestions[Statement], Started):
    """Asks ClickHouse, as an async context manager; a :class:`~result_store.analytics.questions.Questions`.

    Args:
        settings: where it is.
    """

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(clickhouse_statements)
        self._clickhouse = ClickHouse(settings)

    async def start(self) -> None:
        """Connect.

        Raises:
            AnalyticsError: ClickHouse cannot be reached, or refuses.
        """
        await self._clickhouse.start()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._clickhouse.close()

    async def ping(self) -> None:
        """See whether ClickHouse answers.

        Raises:
            AnalyticsError: it does not.
        """
        await self._clickhouse.ping()

    async def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        return await self._clickhouse.query(statement.text, statement.parameters)
