"""The page of charts, made of the analytics' answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from result_store.analytics.arithmetic import outcome_failure_rate
from result_store.page.charts import (
    WINDOWS,
    ColumnChart,
    Compared,
    LineChart,
    Window,
    columns,
    comparison,
    lines,
)
from result_store.page.states import ORDER
from result_store.page.views import Frame
from result_store.page.words import count, duration, percent

if TYPE_CHECKING:
    from datetime import datetime

    from result_store.analytics.answers import LatencyBucket, StatusBucket, StepSummary
    from result_store.records import RunState

__all__ = ["Answers", "ChartsView", "charts_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the analytics said of a window."""

    statuses: Sequence[StatusBucket]
    latencies: Sequence[LatencyBucket]
    slowest: Sequence[StepSummary]
    failing: Sequence[StepSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartsView(Frame):
    """The charts.

    Attributes:
        windows: the names of those that can be chosen.
        totals: of each state that there is, how many.
    """

    windows: Sequence[str]
    window: str
    states: ColumnChart
    totals: Sequence[tuple[RunState, int]]
    overall_failure: float | None
    failures: LineChart
    latencies: LineChart
    slowest: Sequence[Compared]
    failing: Sequence[Compared]


def charts_view(frame: Frame, window: Window, answers: Answers) -> ChartsView:
    """The page of charts."""
    counted = {bucket.at: bucket.by_state for bucket in answers.statuses}
    sums = {state: sum(counts.get(state, 0) for counts in counted.values()) for state in ORDER}
    failing = {bucket.at: bucket.failure_rate for bucket in answers.statuses if bucket.failure_rate is not None}
    return ChartsView(
        now=frame.now,
        viewer=frame.viewer,
        tab=frame.tab,
        windows=[one.name for one in WINDOWS],
        window=window.name,
        states=columns(counted, window, frame.now),
        totals=[(state, number) for state, number in sums.items() if number],
        overall_failure=outcome_failure_rate(sums),
        failures=lines({"failed": failing}, window, frame.now, says=percent, top=1.0),
        latencies=lines(_latencies(answers.latencies), window, frame.now),
        slowest=comparison([_slow(step) for step in answers.slowest]),
        failing=comparison([_failing(step) for step in answers.failing]),
    )


def _latencies(buckets: Sequence[LatencyBucket]) -> Mapping[str, Mapping[datetime, float]]:
    return {
        "half within": {one.at: one.turnaround.p50 for one in buckets if one.turnaround.p50 is not None},
        "95 % within": {one.at: one.turnaround.p95 for one in buckets if one.turnaround.p95 is not None},
    }


def _slow(step: StepSummary) -> tuple[str, float, str, str]:
    p95 = step.duration.p95
    detail = (
        f"{step.workflow_id} · half within {duration(step.duration.p50)} · {count(step.duration.measured)} measured"
    )
    return step.name, p95 or 0.0, duration(p95), detail


def _failing(step: StepSummary) -> tuple[str, float, str, str]:
    detail = f"{step.workflow_id} · {percent(step.failure_rate)} of {count(step.runs)} runs"
    return step.name, float(step.failures), count(step.failures), detail
