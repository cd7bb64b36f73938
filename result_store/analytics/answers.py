"""What the analytics answer: the rows of the report, and what the page's charts are drawn from. Durations are in milliseconds."""

from __future__ import annotations

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from result_store.records import RunState

__all__ = ["Durations", "LatencyBucket", "RunTotals", "StatusBucket", "StepSummary"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Durations(_Answer):
    """How long something took, of all times that it was measured.

    Attributes:
        measured: how many times.
        p50: by nearest rank: a duration that was measured, and no mean of two.
        p95: likewise.
    """

    measured: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None


class StepSummary(_Answer):
    """What all runs of one step had in sum.

    Counts are None where no run told them.

    Attributes:
        runs: requests that came to the step, or told of it.
        failures: those of them that it broke in any attempt.
        failure_rate: ``failures / runs``.
        input: items that went in.
        output: items that came out.
        elimination_ratio: ``1 - output / input``; None where nothing went in, or one of them is not known.
    """

    workflow_id: str
    name: str
    runs: int
    failures: int
    failure_rate: float
    input: int | None = None
    output: int | None = None
    elimination_ratio: float | None = None
    kept: int | None = None
    eliminated: int | None = None
    scored: int | None = None
    duration: Durations
    tokens: int | None = None
    cost: float | None = None


class RunTotals(_Answer):
    """One run from its first step to its last.

    Attributes:
        at: when it ended; of one that goes on, when it was heard of last.
        steps: how many it came to.
        input: items that went into its first steps.
        output: items that came out of its last steps.
        elimination_ratio: as of a step.
        tokens: as its result says, else the sum of what its steps say.
        cost: likewise.
    """

    correlation_id: UUID
    workflow_id: str
    workflow_run_id: str
    state: RunState
    at: AwareDatetime
    steps: int
    input: int | None = None
    output: int | None = None
    elimination_ratio: float | None = None
    duration_ms: float | None = None
    tokens: int | None = None
    cost: float | None = None


class StatusBucket(_Answer):
    """The requests of one stretch of time, by where they stand now.

    Attributes:
        at: its beginning.
        by_state: how many; states that none is in are left out.
        failure_rate: failures and errors among successes, failures and errors; None where there are none of these.
    """

    at: AwareDatetime
    total: int
    by_state: dict[RunState, int]
    failure_rate: float | None = None


class LatencyBucket(_Answer):
    """How long the runs took that ended in one stretch of time.

    Attributes:
        at: its beginning.
        runs: how many ended.
        duration: in the graph.
        turnaround: from when the request was published first until its result was.
    """

    at: AwareDatetime
    runs: int
    duration: Durations
    turnaround: Durations
