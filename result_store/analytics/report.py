"""The report: all answers about one window."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict

from result_store.analytics.answers import LatencyBucket, RunTotals, StatusBucket, StepSummary
from result_store.analytics.arithmetic import most_failing, slowest
from result_store.analytics.clickhouse_questions import ClickHouseQuestions
from result_store.analytics.sql_questions import SqlQuestions
from result_store.analytics.windows import fitting_bucket
from result_store.database.database import ResultDatabase

if TYPE_CHECKING:
    from result_store.analytics.questions import Questions
    from result_store.settings import StoreSettings

__all__ = ["Report", "answering", "collect"]

_WORST = 10
"""How many of the slowest and of the most failing steps are named."""
_STRETCHES = 30
"""Into about how many stretches of time the window is cut: each is a line on the terminal."""


class Report(BaseModel):
    """Answers about one window; as JSON, what ``result-store report --json`` prints.

    Attributes:
        since: where the window begins.
        until: where it ends; what happened at that time is no part of it.
        bucket: how wide the stretches of time are.
        workflow_id: the only workflow that it is about; None: all.
        statuses: how the requests of each stretch of time stand.
        latencies: how long the runs took that ended in it.
        steps: each step in sum.
        slowest: the slowest of them.
        most_failing: those that broke most runs.
        runs: the last runs.
    """

    model_config = ConfigDict(frozen=True)

    since: AwareDatetime
    until: AwareDatetime
    bucket: timedelta
    workflow_id: str | None
    statuses: list[StatusBucket]
    latencies: list[LatencyBucket]
    steps: list[StepSummary]
    slowest: list[StepSummary]
    most_failing: list[StepSummary]
    runs: list[RunTotals]


async def collect(
    questions: Questions, since: datetime, until: datetime, workflow_id: str | None = None, *, runs: int = 20
) -> Report:
    """Ask all there is to ask.

    Args:
        runs: how many of the last runs are told of one by one.

    Raises:
        ResultStoreError: there is no answer.
        ValueError: the window is none.
    """
    bucket = fitting_bucket(since, until, _STRETCHES)
    steps = await questions.step_summary(since, until, workflow_id)
    return Report(
        since=since,
        until=until,
        bucket=bucket,
        workflow_id=workflow_id,
        statuses=await questions.status_over_time(since, until, bucket, workflow_id),
        latencies=await questions.latency_over_time(since, until, bucket, workflow_id),
        steps=steps,
        slowest=slowest(steps, _WORST),
        most_failing=most_failing(steps, _WORST),
        runs=await questions.run_totals(since, until, workflow_id, limit=runs),
    )


@asynccontextmanager
async def answering(settings: StoreSettings) -> AsyncIterator[Questions]:
    """Who answers here: ClickHouse where one is set, else the store's own database.

    Raises:
        ResultStoreError: it cannot be reached, or has other tables than this version needs.
    """
    if settings.clickhouse_url is not None:
        async with ClickHouseQuestions(settings) as questions:
            yield questions
        return
    database = ResultDatabase(settings)
    try:
        await database.start()
        yield SqlQuestions(database.engine)
    finally:
        await database.close()
