"""The questions' statements in ClickHouse's SQL. Each gives the rows that :mod:`result_store.analytics.sql_statements` gives.

Of a row that was written several times the last version is taken by ``argMax`` and not by ``FINAL``: what a row is asked for
by is looked at afterwards, in its last version alone, while ClickHouse reads no more months than it needs.
"""
# ruff: noqa: S608 - what is put into the text are names of columns and numbers of this module; values are parameters

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from result_store.analytics.arithmetic import GOING_ON, StepRow
from result_store.analytics.assembling import COUNTS
from result_store.analytics.clickhouse_tables import RUNS, STEPS
from result_store.ranks import microseconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from uuid import UUID

    from result_store.analytics.clickhouse_tables import CopiedTable

__all__ = [
    "Statement",
    "latencies_over_time",
    "latest_runs",
    "states_over_time",
    "steps_of",
    "summed_steps",
]

_SLACK: Final = timedelta(days=31)
"""How far the time by which a row is sorted into its month may move from one version to the next."""

_TOOK: Final = "coalesce(duration_ms, node_duration_ms)"


class Statement(NamedTuple):
    """What is asked, and with which values."""

    text: str
    parameters: Mapping[str, Any]


def summed_steps(since: datetime, until: datetime, workflow_id: str | None) -> Statement:
    """One row for each name of a step."""
    needed = ["workflow_id", "name", "at", "failed", "duration_ms", "node_duration_ms", *COUNTS, "cost"]
    sums = ", ".join(f"sum(toFloat64({name})) AS {name}_sum" for name in (*COUNTS, "cost"))
    named = ", ".join(f"{name}_sum AS {name}" for name in (*COUNTS, "cost"))
    return Statement(
        f"""
SELECT workflow_id, name, runs, failures, {named}, {_durations("took")}
FROM (
  SELECT workflow_id, name, uniqExact(correlation_id) AS runs, uniqExactIf(correlation_id, failed) AS failures,
    {sums}, {_sorted(_TOOK, "took")}
  FROM ({_last_versions(STEPS, needed, _STEPS_AROUND)})
  WHERE {_within("at")} AND {_OF_WORKFLOW}
  GROUP BY workflow_id, name
)""",
        _window(since, until, workflow_id),
    )


def latest_runs(since: datetime, until: datetime, workflow_id: str | None, limit: int) -> Statement:
    """The runs that ended last, or of which was heard last."""
    needed = ["workflow_id", "workflow_run_id", "state", "ended_or_heard", "duration_ms", "total_tokens", "cost"]
    return Statement(
        f"""
SELECT correlation_id, {", ".join(needed)}
FROM ({_last_versions(RUNS, needed, _RUNS_AROUND)})
WHERE {_within("ended_or_heard")} AND {_OF_WORKFLOW}
ORDER BY ended_or_heard DESC, toString(correlation_id) DESC
LIMIT {{limit:UInt64}}""",
        {**_window(since, until, workflow_id), "limit": limit},
    )


def steps_of(correlation_ids: Collection[UUID]) -> Statement:
    """The steps of these runs, as :class:`StepRow` names them."""
    needed = [name for name in StepRow._fields if name not in STEPS.key]
    return Statement(
        f"""
SELECT correlation_id, {", ".join(StepRow._fields)}
FROM ({_last_versions(STEPS, needed, "correlation_id IN {correlation_ids:Array(UUID)}")})""",
        {"correlation_ids": list(correlation_ids)},
    )


def states_over_time(
    since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
) -> Statement:
    """How many runs are in which state, for each stretch of time that has any."""
    needed = ["workflow_id", "state", "ended_or_heard"]
    return Statement(
        f"""
SELECT {_number("ended_or_heard")} AS number, state, count() AS runs
FROM ({_last_versions(RUNS, needed, _RUNS_AROUND)})
WHERE {_within("ended_or_heard")} AND {_OF_WORKFLOW}
GROUP BY number, state""",
        {**_window(since, until, workflow_id), **_buckets(first, bucket)},
    )


def latencies_over_time(
    since: datetime, until: datetime, workflow_id: str | None, first: datetime, bucket: timedelta
) -> Statement:
    """How long runs took, for each stretch of time in which any ended."""
    needed = ["workflow_id", "state", "ended_or_heard", "requested_at", "finished_at", "duration_ms"]
    turnaround = "(toUnixTimestamp64Micro(finished_at) - toUnixTimestamp64Micro(requested_at)) / 1000"
    return Statement(
        f"""
SELECT number, runs, {_durations("duration")}, {_durations("turnaround")}
FROM (
  SELECT {_number("finished_at")} AS number, count() AS runs,
    {_sorted("duration_ms", "duration")}, {_sorted(turnaround, "turnaround")}
  FROM ({_last_versions(RUNS, needed, _RUNS_AROUND)})
  WHERE {_within("ended_or_heard")} AND {_ENDED} AND {_OF_WORKFLOW}
  GROUP BY number
)""",
        {**_window(since, until, workflow_id), **_buckets(first, bucket)},
    )


def _time(microseconds_since_1970: str) -> str:
    return f"fromUnixTimestamp64Micro({microseconds_since_1970}, 'UTC')"


def _within(time: str) -> str:
    return f"{time} >= {_time('{since:Int64}')} AND {time} < {_time('{until:Int64}')}"


# What follows says which months are read. A version that is out of date may lie in another one than the last; so there is slack.
_DAYS: Final = f"INTERVAL {_SLACK.days} DAY"
_STEPS_AROUND: Final = f"at >= {_time('{since:Int64}')} - {_DAYS} AND at < {_time('{until:Int64}')} + {_DAYS}"
_RUNS_AROUND: Final = (
    f"at >= (SELECT min(at) FROM {RUNS.name} WHERE {_within('ended_or_heard')}) - {_DAYS} "
    f"AND at <= (SELECT max(at) FROM {RUNS.name} WHERE {_within('ended_or_heard')}) + {_DAYS}"
)
_ENDED: Final = f"state NOT IN {tuple(map(str, GOING_ON))}"
_OF_WORKFLOW: Final = "({any_workflow:Bool} OR workflow_id = {workflow_id:String})"


def _window(since: datetime, until: datetime, workflow_id: str | None) -> dict[str, Any]:
    return {
        "since": microseconds(since),
        "until": microseconds(until),
        "any_workflow": workflow_id is None,
        "workflow_id": workflow_id or "",
    }


def _buckets(first: datetime, bucket: timedelta) -> dict[str, Any]:
    return {"first": microseconds(first), "bucket": bucket // timedelta(microseconds=1)}


def _last_versions(table: CopiedTable, columns: Collection[str], where: str) -> str:
    """The rows as they were written last. All of a row is taken at once: ``argMax`` of one column would pass over a null."""
    names = list(columns)
    # Not named as the columns are: where they are filtered by, the columns are meant, and not their last versions.
    last = f"argMax(tuple({', '.join(names)}), version) AS last_version"
    taken = ", ".join(f"last_version.{place} AS {name}" for place, name in enumerate(names, 1))
    key = ", ".join(table.key)
    return f"SELECT {key}, {taken} FROM (SELECT {key}, {last} FROM {table.name} WHERE {where} GROUP BY {key})"


def _number(time: str) -> str:
    """In which stretch, counted from 0, a time lies."""
    return f"intDiv(toUnixTimestamp64Micro(assumeNotNull({time})) - {{first:Int64}}, {{bucket:Int64}})"


def _sorted(value: str, name: str) -> str:
    """The values that are known; ``groupArray`` leaves nulls out."""
    return f"arraySort(groupArray({value})) AS {name}_sorted"


def _durations(name: str) -> str:
    return ", ".join(_each_duration(name))


def _each_duration(name: str) -> Iterator[str]:
    values = f"{name}_sorted"
    yield f"length({values}) AS {name}_measured"
    yield f"if(empty({values}), NULL, arrayAvg({values})) AS {name}_mean"
    for percent in (50, 95):
        yield f"if(empty({values}), NULL, {values}[greatest(1, {_place(values, percent)})]) AS {name}_p{percent}"


def _place(values: str, percent: int) -> str:
    """See :func:`~result_store.analytics.arithmetic.nearest_rank`."""
    return f"intDiv(length({values}) * {percent} + 99, 100)"
