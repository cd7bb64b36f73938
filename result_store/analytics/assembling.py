"""Answers made of a database's rows, the same for every database. Pure.

Rows are mappings from names to values. Sums come as floats: a sum of whole numbers overflows in SQLite, and is a decimal in
PostgreSQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from result_store.analytics.answers import Durations, LatencyBucket, RunTotals, StatusBucket, StepSummary
from result_store.analytics.arithmetic import (
    StepRow,
    elimination_ratio,
    failure_rate,
    outcome_failure_rate,
    totals_of,
)
from result_store.records import RunState

__all__ = ["COUNTS", "latency_buckets", "run_totals", "status_buckets", "step_summaries"]

COUNTS = ("input_count", "output_count", "kept", "eliminated", "scored", "tokens")
"""What is summed over a step's rows in whole numbers."""


def step_summaries(rows: Iterable[Mapping[str, Any]]) -> list[StepSummary]:
    """What each step had in sum: the columns :data:`COUNTS`, ``cost``, ``runs``, ``failures`` and the durations ``took``.

    They are sorted here: each database has its own order of names.
    """
    return sorted(map(_step_summary, rows), key=lambda one: (one.workflow_id, one.name))


def run_totals(row: Mapping[str, Any], steps: Collection[StepRow]) -> RunTotals:
    """One run, with what its steps had in sum."""
    totals = totals_of(steps)
    return RunTotals(
        correlation_id=row["correlation_id"],
        workflow_id=row["workflow_id"],
        workflow_run_id=row["workflow_run_id"],
        state=row["state"],
        at=row["ended_or_heard"],
        steps=totals.steps,
        input=totals.input,
        output=totals.output,
        elimination_ratio=elimination_ratio(totals.input, totals.output),
        duration_ms=row["duration_ms"],
        tokens=totals.tokens if row["total_tokens"] is None else row["total_tokens"],
        cost=totals.cost if row["cost"] is None else row["cost"],
    )


def status_buckets(starts: Sequence[datetime], rows: Iterable[tuple[int, str, int]]) -> list[StatusBucket]:
    """One answer for each stretch of time, of how many requests are in which state in which stretch."""
    of_bucket: dict[int, dict[RunState, int]] = defaultdict(dict)
    for number, state, count in rows:
        of_bucket[number][RunState(state)] = count
    found = [(at, of_bucket.get(number, {})) for number, at in enumerate(starts)]
    return [
        StatusBucket(
            at=at, total=sum(by_state.values()), by_state=by_state, failure_rate=outcome_failure_rate(by_state)
        )
        for at, by_state in found
    ]


def latency_buckets(starts: Sequence[datetime], rows: Iterable[Mapping[str, Any]]) -> list[LatencyBucket]:
    """One answer for each stretch of time: ``number``, ``runs`` and the durations ``duration`` and ``turnaround``."""
    of_bucket = {row["number"]: row for row in rows}
    return [
        LatencyBucket(at=at, runs=0, duration=Durations(), turnaround=Durations())
        if (row := of_bucket.get(number)) is None
        else LatencyBucket(
            at=at,
            runs=row["runs"],
            duration=_durations(row, "duration"),
            turnaround=_durations(row, "turnaround"),
        )
        for number, at in enumerate(starts)
    ]


def _step_summary(row: Mapping[str, Any]) -> StepSummary:
    counts = {name: None if row[name] is None else int(row[name]) for name in COUNTS}
    taken_in, given_out = counts.pop("input_count"), counts.pop("output_count")
    return StepSummary(
        workflow_id=row["workflow_id"],
        name=row["name"],
        runs=row["runs"],
        failures=row["failures"],
        failure_rate=failure_rate(row["failures"], row["runs"]),
        input=taken_in,
        output=given_out,
        elimination_ratio=elimination_ratio(taken_in, given_out),
        **counts,
        duration=_durations(row, "took"),
        cost=row["cost"],
    )


def _durations(row: Mapping[str, Any], of: str) -> Durations:
    return Durations(measured=row[f"{of}_measured"], mean=row[f"{of}_mean"], p50=row[f"{of}_p50"], p95=row[f"{of}_p95"])
