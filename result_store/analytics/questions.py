"""What can be asked about many runs at once, whichever database answers.

A window is ``since <= time < until``, both aware. A run is in a window by when it ended; one that goes on, by when it was heard
of last. A step is in it by when it was heard of first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from result_store.analytics.answers import LatencyBucket, RunTotals, StatusBucket, StepSummary

__all__ = ["Questions"]


class Questions(Protocol):
    """Answers the analytics' questions.

    Each raises :class:`~result_store.errors.ResultStoreError` where the database does not answer, and ``ValueError`` for a window
    that is none.
    """

    async def step_summary(self, since: datetime, until: datetime, workflow_id: str | None = None) -> list[StepSummary]:
        """What each step took in, gave out, took and cost; by workflow and name."""
        ...

    async def run_totals(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 100
    ) -> list[RunTotals]:
        """The last runs of the window, each in sum; the latest first."""
        ...

    async def status_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[StatusBucket]:
        """How the requests of each stretch of time stand; one answer for each stretch, empty ones too."""
        ...

    async def latency_over_time(
        self, since: datetime, until: datetime, bucket: timedelta, workflow_id: str | None = None
    ) -> list[LatencyBucket]:
        """How long the runs took that ended in each stretch of time; one answer for each stretch, empty ones too."""
        ...

    async def slowest_steps(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 10
    ) -> list[StepSummary]:
        """The steps with the highest 95th percentile, that first; steps that were never measured are left out."""
        ...

    async def most_failing_steps(
        self, since: datetime, until: datetime, workflow_id: str | None = None, *, limit: int = 10
    ) -> list[StepSummary]:
        """The steps that broke most runs, that first; steps that broke none are left out."""
        ...
