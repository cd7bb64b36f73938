"""Each question is answered along an index, whatever the number of rows: the plans say so, on both kinds of database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from result_store.database import statements
from result_store.database.database import ResultDatabase
from result_store.database.tables import dead_letters, invalid_messages
from result_store.records import EVERYBODY, RunState, Scope
from result_store.settings import StoreSettings
from tests.unit.store.facts_made import at, uid
from workflow_events.testing.postgres import PostgresServer

ROWS = 50_000

_NUMBERS = {
    "postgresql": "generate_series(1, :rows) AS numbers(n)",
    "sqlite": "(WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < :rows) SELECT n FROM more)",
}
_VALUES = {
    "postgresql": {
        "id": "md5('run' || n)::uuid",
        "event": "md5('event' || n)::uuid",
        "at": "timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second'",
        "bytes": "'\\x00'::bytea",
    },
    "sqlite": {
        "id": "lower(hex(randomblob(16)))",
        "event": "lower(hex(randomblob(16)))",
        "at": "strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', n || ' seconds') || '.000000'",
        "bytes": "x'00'",
    },
}
# 2,500 batches of 20 and one of 10,000; a hundred users; nine in ten have ended.
_FILL = [
    """
    INSERT INTO runs (correlation_id, workflow_id, workflow_run_id, user_id, tenant_id, status, requested_at, updated_at)
    SELECT {id}, 'w' || n % 50, CASE WHEN n % 5 = 0 THEN 'large' ELSE 'b' || n / 20 END, 'u' || n % 100, 't' || n % 10,
      CASE WHEN n % 10 = 0 THEN NULL ELSE 'success' END, {at}, {at} FROM {numbers}
    """,
    """
    INSERT INTO run_events (event_key, correlation_id, "at", kind)
    SELECT {event}, {id}, {at}, 'requested' FROM {numbers}
    """,
    """
    INSERT INTO invalid_messages (topic, "partition", "offset", error_type, error, headers, value, size, "at")
    SELECT 't', 0, n, 'invalid-json', '', '[]', {bytes}, 1, {at} FROM {numbers} WHERE n % 10 = 0
    """,
    """
    INSERT INTO dead_letters (topic, "partition", "offset", code, reason, size, "at")
    SELECT 't', 0, n, 'poison', '', 1, {at} FROM {numbers} WHERE n % 10 = 0
    """,
    "ANALYZE",
]

_ANN, _TEAM = Scope(user_id="u7"), Scope(tenant_id="t7")
_AFTER = (at(0).replace(year=2026, month=1, day=1), uid(0))
_PLACE = (datetime.fromisoformat("2026-01-01T06:00:00+00:00"), "t", 0, 25_000)
_BUSY = [RunState.PENDING, RunState.ACCEPTED, RunState.RUNNING]
QUESTIONS: dict[str, tuple[statements.Question, set[str]]] = {
    "a run": (statements.run_query(uid(1), EVERYBODY), {"pk_runs"}),
    "a run of a user": (statements.run_query(uid(1), _ANN), {"pk_runs"}),
    "a timeline": (statements.timeline_query(uid(1)), {"ix_run_events_run"}),
    "newest runs": (statements.runs_query(EVERYBODY, None, None, 50, None), {"ix_runs_updated"}),
    "the next of them": (statements.runs_query(EVERYBODY, None, None, 50, _AFTER), {"ix_runs_updated"}),
    "runs in flight": (statements.runs_query(EVERYBODY, _BUSY, None, 50, None), {"ix_runs_state_updated"}),
    "the next in flight": (statements.runs_query(EVERYBODY, _BUSY, None, 50, _AFTER), {"ix_runs_state_updated"}),
    "how many in flight": (statements.state_query(EVERYBODY, _BUSY), {"ix_runs_state_updated"}),
    "runs of a workflow": (statements.runs_query(EVERYBODY, None, "w7", 50, None), {"ix_runs_workflow_updated"}),
    "runs of a user": (statements.runs_query(_ANN, None, None, 50, _AFTER), {"ix_runs_user_updated"}),
    "runs of a tenant": (
        statements.runs_query(_TEAM, None, None, 50, _AFTER),
        {"ix_runs_tenant_updated", "ix_runs_updated"},
    ),
    "a batch": (statements.batch_query("b7", EVERYBODY, 100, None), {"ix_runs_batch", "ix_runs_batch_updated"}),
    "the next of a large batch": (statements.batch_query("large", EVERYBODY, 100, (uid(1),)), {"ix_runs_batch"}),
    "a batch counted": (statements.count_query(["b7"], EVERYBODY), {"ix_runs_batch", "ix_runs_batch_updated"}),
    "newest batches": (statements.batches_query(EVERYBODY, 50, None), {"ix_runs_updated", "ix_runs_batch_updated"}),
    "the next batches": (statements.batches_query(EVERYBODY, 50, _AFTER), {"ix_runs_updated", "ix_runs_batch_updated"}),
    "batches of a user": (statements.batches_query(_ANN, 50, None), {"ix_runs_user_updated", "ix_runs_batch_updated"}),
    "invalid messages": (statements.places_query(invalid_messages, 50, None), {"ix_invalid_messages_at"}),
    "the next invalid ones": (statements.places_query(invalid_messages, 50, _PLACE), {"ix_invalid_messages_at"}),
    "dead letters": (statements.places_query(dead_letters, 50, _PLACE), {"ix_dead_letters_at"}),
}
"""The questions, and the indexes that may serve them."""
OF_POSTGRESQL = {
    "a run and its timeline": (statements.told_run_query(uid(1), _ANN), {"pk_runs", "ix_run_events_run"}),
}
_SORTED = {
    "batches of a user",
    "how many in flight",
    "runs in flight",
    "the next in flight",
    "a batch",
    "a batch counted",
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResultDatabase]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/rows.db"
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.create_database("store_plans")
    database = ResultDatabase(StoreSettings(database_url=url))
    await database.start(migrate=True)
    values = {**_VALUES[request.param], "numbers": _NUMBERS[request.param]}
    async with database.engine.begin() as connection:
        for statement in _FILL:
            sql = text(statement.format(**values))
            await connection.execute(sql, {"rows": ROWS} if "numbers" in statement else {})
    yield database
    await database.close()


async def _plan(database: ResultDatabase, question: statements.Question) -> str:
    dialect = database.engine.dialect
    asked = question.statement.params(question.values).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN" if dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    async with database.engine.connect() as connection:
        return "\n".join(str(row[-1]) for row in await connection.exec_driver_sql(f"{explain} {asked}"))


async def test_each_question_is_answered_along_its_index(filled: ResultDatabase) -> None:
    wrong = {}
    more = OF_POSTGRESQL if filled.engine.dialect.name == "postgresql" else {}
    for question, (asked, indexes) in (QUESTIONS | more).items():
        plan = await _plan(filled, asked)
        used = set(re.findall(r"(?:pk|ix)_\w+", plan.replace("sqlite_autoindex_runs_1", "pk_runs")))
        reads_all = re.search(r"Seq Scan|^SCAN (?!anon)\w+$", plan, re.MULTILINE)
        # A page of each state is sorted, and all of one user's runs where they are few; nothing else is.
        sorts = question not in _SORTED and re.search(r"\bSort\b|TEMP B-TREE FOR ORDER", plan)
        if not used or not used <= indexes or reads_all or sorts:
            wrong[question] = plan
    assert wrong == {}, "\n\n".join(f"{question}:\n{plan}" for question, plan in wrong.items())
