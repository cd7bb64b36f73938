"""The questions' plans: what lies outside of a window is not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable

from result_store.analytics.sql_statements import (
    latencies_over_time,
    latest_runs,
    states_over_time,
    steps_of,
    summed_steps,
)

UNTIL = datetime(2026, 3, 2, tzinfo=UTC)
SINCE, HOUR = UNTIL - timedelta(hours=12), timedelta(hours=1)
STATEMENTS: dict[str, Select[Any]] = {
    "summed steps": summed_steps(SINCE, UNTIL, None),
    "latest runs": latest_runs(SINCE, UNTIL, None, 20),
    "states over time": states_over_time(SINCE, UNTIL, None, SINCE, HOUR),
    "latencies over time": latencies_over_time(SINCE, UNTIL, None, SINCE, HOUR),
    "steps of runs": steps_of([UUID(int=1), UUID(int=2)]),
}
A_YEAR = """
INSERT INTO runs (correlation_id, workflow_id, workflow_run_id, requested_at, updated_at, finished_at, status)
SELECT gen_random_uuid(), 'w', 'b', at, at, CASE WHEN number % 50 > 0 THEN at END,
  CASE WHEN number % 50 > 0 THEN 'success' END
FROM (SELECT number, timestamptz '2026-03-02 00:00Z' - number * interval '10 min' AS at FROM generate_series(1, 50000) AS number)
AS made_up;
INSERT INTO steps (correlation_id, step_key, workflow_id, name, at, failed)
SELECT correlation_id, 's', 'w', 's', updated_at, false FROM runs;
ANALYZE runs;
ANALYZE steps
"""


class Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(Explained, "sqlite")
def _sqlite(element: Explained, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(element.statement, **options)}"


@compiles(Explained, "postgresql")
def _postgresql(element: Explained, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN {compiler.process(element.statement, **options)}"


async def test_each_question_reads_by_an_index_what_lies_in_its_window(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            for statement in A_YEAR.split(";"):
                await connection.execute(text(statement))
        for name, asked in STATEMENTS.items():
            plan = "\n".join(str(row[-1]) for row in await connection.execute(Explained(asked)))
            assert not [
                line for line in plan.splitlines() if "Seq Scan" in line or line.startswith(("SCAN runs", "SCAN steps"))
            ], f"{name}:\n{plan}"
            assert "Index" in plan or "USING INDEX" in plan or "sqlite_autoindex" in plan, f"{name}:\n{plan}"
