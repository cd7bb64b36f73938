"""Asks the questions: the same for every database, which has its own statements and its own way to have them answered."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from uuid import UUID

from result_store.analytics.arithmetic import StepRow, most_failing, slowest
from result_store.analytics.assembling import latency_buckets, run_totals, status_buckets, step_summaries
from result_store.analytics.windows import bucket_starts, check_window

if TYPE_CHECKING:
    from collections.abc import Collection

    from result_store.analytics.answers import LatencyBucket, RunTotals, StatusBucket, StepSummary

__all__ = ["AskedQuestions", "Statements"]

_S = TypeVar("_S")
_S_co = TypeVar("_S_co", covariant=True)


class Statements(Protocol[_S_co]):
    """What is asked for, in one database's words; modules have this shape. Windows as :class:`Questions` has them."""

    def summed_steps(self, since: datetime, until: datetime, workflow_id: str | None) -> _S_co:
        """One row for each name of a step, as :func:`step_summaries` reads it."""

    def latest_runs(self, since: datetime, until: datetime, workflow_id: str | None, limit: int) -> _S_co:
        """The runs that ended last, or of which was heard last, as :func:`run_totals` reads them."""

    def steps_of(self, correlation_ids: Collection[UUID]) -> _S_co:
        """The steps of these runs: ``correlation_id``, and what :class:`StepRow` names."""

    def states_over_time(
        self, since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
    ) -> _S_co:
        """How many runs are in which state: ``number``, ``state`` and ``runs``.

        Args:
            first: where the first stretch of time begins; its number is 0.
            bucket: how wide each is.
        """

    def latencies_over_time(
        self, since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
    ) -> _S_co:
        """How long runs took, for each stretch of time in which any ended, as :func:`latency_buckets` reads it."""


class AskedQuestions(Generic[_S]):
    """Has :class:`~result_store.analytics.questions.Questions` answered by a database.

    Args:
        statements: its words.
    """

    def __init__(self, statements: Statements[_S]) -> None:
        self._statements = statements

    @abstractmethod
    async def _rows(self, statement: _S) -> list[dict[str, Any]]:
        """The rows of a statement, by the names of their columns."""

    async def step_summary(self, since: datetime, until: datetime, workflow_id: str | None = None) -> list[StepSummary]:
        """What each step took in, gave out, took and cost; by workflow and name."""
        check_window(since, until)
        return step_summaries(await self._rows(self._statements.summed_steps(since, until, workflow_id)))

    async def run_totals(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 100
    ) -> list[RunTotals]:
        """The last runs of the window, each in sum; the latest first."""
        check_window(since, until)
        found = await self._rows(self._statements.latest_runs(since, until, workflow_id, limit))
        of_run: dict[UUID, list[StepRow]] = {row["correlation_id"]: [] for row in found}
        for row in await self._rows(self._statements.steps_of(list(of_run))) if of_run else ():
            of_run[row["correlation_id"]].append(StepRow(**{name: row[name] for name in StepRow._fields}))
        return [run_totals(row, of_run[row["correlation_id"]]) for row in found]

    async def status_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[StatusBucket]:
        """How the requests of each stretch of time stand; one answer for each stretch, empty ones too."""
        starts = bucket_starts(since, until, bucket)
        rows = await self._rows(
            self._statements.states_over_time(since, until, workflow_id, first=starts[0], bucket=bucket)
        )
        return status_buckets(starts, [(row["number"], row["state"], row["runs"]) for row in rows])

    async def latency_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[LatencyBucket]:
        """How long the runs took that ended in each stretch of time; one answer for each stretch, empty ones too."""
        starts = bucket_starts(since, until, bucket)
        rows = await self._rows(
            self._statements.latencies_over_time(since, until, workflow_id, first=starts[0], bucket=bucket)
        )
        return latency_buckets(starts, rows)

    async def slowest_steps(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 10
    ) -> list[StepSummary]:
        """The steps with the highest 95th percentile, that first; steps that were never measured are left out."""
        return slowest(await self.step_summary(since, until, workflow_id), limit)

    async def most_failing_steps(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 10
    ) -> list[StepSummary]:
        """The steps that broke most runs, that first; steps that broke none are left out."""
        return most_failing(await self.step_summary(since, until, workflow_id), limit)
