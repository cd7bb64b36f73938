"""The same rows give the same answers, whichever database is asked."""

from __future__ import annotations

import random
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from result_store.analytics.answers import Durations
from result_store.analytics.arithmetic import nearest_rank
from result_store.analytics.clickhouse import ClickHouseSink
from result_store.analytics.clickhouse_questions import ClickHouseQuestions
from result_store.analytics.questions import Questions
from result_store.analytics.sql_questions import SqlQuestions
from result_store.database.tables import decision_events, runs, steps
from result_store.settings import StoreSettings
from workflow_events.identifiers import derive_correlation_id

Row = dict[str, Any]

END = datetime(2026, 3, 2, tzinfo=UTC)
BEGIN = END - timedelta(days=40)
WINDOW = (END - timedelta(days=3, microseconds=1), END - timedelta(hours=5))
HOURS = timedelta(hours=6)


def made_up(seed: int, count: int = 300) -> tuple[list[Row], list[Row], list[Row]]:
    """Runs, their steps and decisions. Durations are eighths, so that sums of them are exact."""
    chance = random.Random(seed)

    def some(*values: Any) -> Any:
        return chance.choice([None, *values])

    of_runs, of_steps, of_decisions = list[Row](), list[Row](), list[Row]()
    for number in range(count):
        asked = END - timedelta(seconds=chance.randrange(40 * 86_400), microseconds=chance.randrange(1_000_000))
        ended = some(asked + timedelta(seconds=chance.random() * 50_000))
        correlation_id = (
            derive_correlation_id(str(number), time=asked) if number % 5 else UUID(int=chance.getrandbits(128))
        )
        attempt = chance.choice([1, 1, 2])
        workflow_id = chance.choice(["Zoll", "antrag", "übrig"])
        of_runs.append(
            {
                "correlation_id": correlation_id,
                "workflow_id": workflow_id,
                "workflow_run_id": f"batch {number % 7}",
                "requested_at": some(asked, asked),
                "status": None
                if ended is None
                else chance.choice(["success", "success", "failure", "error", "cancelled"]),
                "attempt": attempt,
                "result_attempt": None if ended is None else 1,
                "progress_attempt": some(1, attempt),
                "progress_begun": chance.choice([None, False, True]),
                "finished_at": ended,
                "duration_ms": None if ended is None else some(chance.randrange(80_000) / 8),
                "total_tokens": some(chance.randrange(10_000)),
                "cost": some(chance.randrange(100) / 8),
                "updated_at": (ended or asked) + timedelta(seconds=chance.randrange(100)),
            }
        )
        for superstep in range(chance.randrange(5)):
            name = chance.choice(["Sieb", "wert", "äußern", "outer|inner"])
            known = chance.random() < 0.8
            of_steps.append(
                {
                    "correlation_id": correlation_id,
                    "step_key": f"{name}#{superstep}" if known else f"{name}.{superstep}",
                    "workflow_id": workflow_id,
                    "name": name if known else f"{name}.{superstep}",
                    "at": asked + timedelta(seconds=superstep * 100),
                    "failed": chance.random() < 0.1,
                    "node_duration_ms": some(chance.randrange(8_000) / 8),
                    "node_rank": some("0"),
                    "duration_ms": some(chance.randrange(8_000) / 8),
                    **{
                        count: some(chance.choice([0, chance.randrange(1_000)]))
                        for count in ("input_count", "output_count", "kept", "eliminated", "scored", "tokens")
                    },
                    "cost": some(chance.randrange(100) / 8),
                    "counts_rank": some("0"),
                }
            )
        of_decisions.append(
            {
                "decision_id": UUID(int=chance.getrandbits(128)),
                "correlation_id": correlation_id,
                "workflow_id": workflow_id,
                "step": "Sieb",
                "item": f"item {number}",
                "verdict": chance.choice(["kept", "eliminated", "scored"]),
                "score": some(chance.random()),
                "at": asked,
                "archive_key": "steps/2026/03/01/x.json",
            }
        )
    # One that ended just before the window, and was heard of once more in it.
    of_runs[0].update(status="success", finished_at=WINDOW[0] - HOURS, updated_at=WINDOW[0] + HOURS)
    return of_runs, of_steps, of_decisions


async def insert_rows(engine: AsyncEngine, rows: tuple[list[Row], list[Row], list[Row]]) -> None:
    async with engine.begin() as connection:
        for table, of_table in zip((runs, steps, decision_events), rows, strict=True):
            await connection.execute(insert(table), of_table)


async def everything(questions: Questions, workflow_id: str | None) -> dict[str, list[Any]]:
    since, until = WINDOW
    return {
        "steps": await questions.step_summary(since, until, workflow_id),
        "runs": await questions.run_totals(since, until, workflow_id, limit=1000),
        "latest": await questions.run_totals(since, until, workflow_id, limit=3),
        "states": await questions.status_over_time(since, until, HOURS, workflow_id),
        "latencies": await questions.latency_over_time(since, until, HOURS, workflow_id),
        "slowest": await questions.slowest_steps(since, until, workflow_id, limit=3),
        "failing": await questions.most_failing_steps(since, until, workflow_id, limit=3),
    }


@pytest.mark.parametrize(
    "engine, clickhouse", [("sqlite", "over_http"), ("postgresql", "in_process")], indirect=["engine"]
)
async def test_every_database_gives_the_same_answers_and_they_are_right(
    request: pytest.FixtureRequest, engine: AsyncEngine, clickhouse: str
) -> None:
    # Given the same rows in the store's database and in ClickHouse, copied there twice
    settings: StoreSettings = request.getfixturevalue(clickhouse)
    rows = made_up(1)
    await insert_rows(engine, rows)
    async with ClickHouseSink(settings, engine) as sink:
        assert await sink.refill() == len(rows[0])
        await sink.refill()
    # When both are asked
    async with ClickHouseQuestions(settings) as copies:
        for workflow_id in (None, "Zoll", "nobody's"):
            own = await everything(SqlQuestions(engine), workflow_id)
            copied = await everything(copies, workflow_id)
            # Then they agree
            assert _rounded(copied) == _rounded(own)
            # And with what is reckoned here
            assert _rounded(own) == _rounded(_reckoned(rows, workflow_id, own))
            assert own["latest"] == own["runs"][:3]
            assert bool(own["steps"]) == bool(own["runs"]) == (workflow_id != "nobody's")


def _rounded(value: Any) -> Any:
    """Means may differ in their last bit, for each database adds in its own order."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return round(value, 6)
    return _rounded(value.model_dump()) if hasattr(value, "model_dump") else value


def _reckoned(rows: tuple[list[Row], list[Row], list[Row]], workflow_id: str | None, own: Any) -> dict[str, list[Any]]:
    """The same answers, reckoned without a database from the rows, where these are not sums of one run alone."""
    since, until = WINDOW
    of_runs, of_steps = ([row for row in of if workflow_id in (None, row["workflow_id"])] for of in rows[:2])
    grouped = defaultdict(list)
    for row in of_steps:
        if since <= row["at"] < until:
            grouped[row["workflow_id"], row["name"]].append(row)
    summaries = []
    for (workflow, name), found in sorted(grouped.items()):
        sums = {
            count: sum(known) if (known := [row[count] for row in found if row[count] is not None]) else None
            for count in ("input_count", "output_count", "kept", "eliminated", "scored", "tokens", "cost")
        }
        taken_in, given_out = sums.pop("input_count"), sums.pop("output_count")
        ids = {row["correlation_id"] for row in found}
        failures = len({row["correlation_id"] for row in found if row["failed"]})
        summaries.append(
            {
                "workflow_id": workflow,
                "name": name,
                "runs": len(ids),
                "failures": failures,
                "failure_rate": failures / len(ids),
                "input": taken_in,
                "output": given_out,
                "elimination_ratio": 1 - given_out / taken_in if taken_in and given_out is not None else None,
                **sums,
                "duration": _durations(
                    row["node_duration_ms"] if row["duration_ms"] is None else row["duration_ms"] for row in found
                ).model_dump(),
            }
        )
    ended_or_heard = {
        id(row): row["updated_at"] if _state(row) in {"pending", "accepted", "running"} else row["finished_at"]
        for row in of_runs
    }
    within = [row for row in of_runs if since <= ended_or_heard[id(row)] < until]
    states, latencies = [], []
    for state, latency in zip(own["states"], own["latencies"], strict=True):
        assert state.at == latency.at
        here = [row for row in within if state.at <= ended_or_heard[id(row)] < state.at + HOURS]
        counted = Counter(_state(row) for row in here)
        broken = counted["failure"] + counted["error"]
        answered = broken + counted["success"]
        rate = broken / answered if answered else None
        states.append({"at": state.at, "total": len(here), "by_state": dict(counted), "failure_rate": rate})
        ended = [row for row in here if _state(row) not in {"pending", "accepted", "running"}]
        latencies.append(
            {
                "at": state.at,
                "runs": len(ended),
                "duration": _durations(row["duration_ms"] for row in ended).model_dump(),
                "turnaround": _durations(
                    (row["finished_at"] - row["requested_at"]) / timedelta(milliseconds=1)
                    for row in ended
                    if row["requested_at"]
                ).model_dump(),
            }
        )
    latest = sorted(within, key=lambda row: (ended_or_heard[id(row)], row["correlation_id"]), reverse=True)
    assert [one.correlation_id for one in own["runs"]] == [row["correlation_id"] for row in latest]
    assert [one.at for one in own["runs"]] == [ended_or_heard[id(row)] for row in latest]
    return {**own, "steps": summaries, "states": states, "latencies": latencies}


def _state(row: Row) -> str:
    heard = row["progress_attempt"] or 0
    if row["status"] == "success" or (row["status"] is not None and max(row["attempt"], heard) == 1):
        return str(row["status"])
    if heard < row["attempt"]:
        return "pending"
    return "running" if row["progress_begun"] else "accepted"


def _durations(values: Any) -> Durations:
    known = sorted(value for value in values if value is not None)
    if not known:
        return Durations()
    return Durations(
        measured=len(known),
        mean=statistics.mean(known),
        p50=known[nearest_rank(len(known), 50) - 1],
        p95=known[nearest_rank(len(known), 95) - 1],
    )
