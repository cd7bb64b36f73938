"""The questions in SQL, for SQLite and PostgreSQL alike: what the store has without ClickHouse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from result_store.analytics.arithmetic import StepRow
from result_store.analytics.assembling import latency_buckets, run_totals, status_buckets, step_summaries
from result_store.analytics.questions import Questions
from result_store.analytics.sql_statements import (
    latencies_over_time,
    latest_runs,
    states_over_time,
    steps_of,
    summed_steps,
)
from result_store.analytics.windows import bucket_starts, check_window

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from result_store.analytics.answers import LatencyBucket, RunTotals, StatusBucket, StepSummary

__all__ = ["SqlQuestions"]


class SqlQuestions(Questions):
    """Asks the store's own database.

    Args:
        engine: SQLite or PostgreSQL.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def step_summary(self, since: datetime, until: datetime, workflow_id: str | None = None) -> list[StepSummary]:
        """See :class:`Questions`."""
        check_window(since, until)
        return step_summaries(await self._rows(summed_steps(since, until, workflow_id)))

    async def run_totals(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 100
    ) -> list[RunTotals]:
        """See :class:`Questions`."""
        check_window(since, until)
        found = await self._rows(latest_runs(since, until, workflow_id, limit))
        of_run: dict[UUID, list[StepRow]] = {row["correlation_id"]: [] for row in found}
        for row in await self._rows(steps_of(list(of_run))) if of_run else ():
            of_run[row["correlation_id"]].append(StepRow(**{name: row[name] for name in StepRow._fields}))
        return [run_totals(row, of_run[row["correlation_id"]]) for row in found]

    async def status_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[StatusBucket]:
        """See :class:`Questions`."""
        starts = bucket_starts(since, until, bucket)
        rows = await self._rows(states_over_time(since, until, workflow_id, starts[0], bucket))
        return status_buckets(starts, [(row["number"], row["state"], row["runs"]) for row in rows])

    async def latency_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[LatencyBucket]:
        """See :class:`Questions`."""
        starts = bucket_starts(since, until, bucket)
        return latency_buckets(
            starts, await self._rows(latencies_over_time(since, until, workflow_id, starts[0], bucket))
        )

    async def _rows(self, statement: Select[Any]) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(statement)).mappings()]
