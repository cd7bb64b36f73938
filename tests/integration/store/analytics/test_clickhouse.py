"""What is copied to ClickHouse, whatever comes twice, late or out of order, and what is said when it is not there."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from result_store.analytics.clickhouse import ClickHouseSink
from result_store.analytics.clickhouse_connection import ClickHouse
from result_store.analytics.clickhouse_questions import ClickHouseQuestions
from result_store.analytics.sql_questions import SqlQuestions
from result_store.database.database import ResultDatabase
from result_store.database.tables import runs, steps
from result_store.errors import AnalyticsError
from result_store.records import RunState
from result_store.settings import StoreSettings
from tests.unit.store.facts_made import at, result, whole_run
from workflow_events.errors import ConfigurationError
from workflow_events.events import ResultStatus
from workflow_events.testing.processes import free_port

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def kept(engine: AsyncEngine, correlation_id: UUID, **values: Any) -> None:
    """Have one run in the store's database."""
    row = {"correlation_id": correlation_id, "workflow_id": "w", "workflow_run_id": "b", "updated_at": DECEMBER}
    async with engine.begin() as connection:
        await connection.execute(insert(runs).values({**row, **values}))


async def changed(engine: AsyncEngine, correlation_id: UUID, table: Any = runs, **values: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.correlation_id == correlation_id).values(**values))


async def states(settings: StoreSettings, since: datetime, until: datetime) -> dict[RunState, int]:
    async with ClickHouseQuestions(settings) as questions:
        counted = Counter[RunState]()
        for bucket in await questions.status_over_time(since, until, DAY):
            counted.update(bucket.by_state)
        return dict(counted)


async def rows_of(settings: StoreSettings, statement: str) -> list[dict[str, Any]]:
    async with ClickHouse(settings) as clickhouse:
        return await clickhouse.query(statement)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_what_messages_tell_is_asked_for_in_clickhouse(engine: AsyncEngine, in_process: StoreSettings) -> None:
    # Given a store that has saved two runs, one of which broke at a node
    database = ResultDatabase(StoreSettings(database_url=engine.url.render_as_string().replace("+aiosqlite", "")))
    facts = [
        *whole_run(1),
        *whole_run(2, 20.0)[:-1],
        result(2, 30.0, ResultStatus.ERROR, node="filter", duration_ms=7000.0),
    ]
    saved = await database.save(facts, keep=lambda _: asyncio.sleep(0))
    await database.close()
    # When what has changed is written, twice
    async with ClickHouseSink(in_process, engine) as sink:
        await sink.write(saved.changed)
        await sink.write(saved.changed)
        await sink.ping()
    # Then both databases tell of the step and of the runs
    async with ClickHouseQuestions(in_process) as questions:
        window = (at(0), at(60))
        [step] = await questions.step_summary(*window)
        assert (step.name, step.runs, step.failures, step.input, step.output) == ("filter", 2, 1, 20, 8)
        assert step.elimination_ratio == pytest.approx(0.6)
        assert (step.kept, step.eliminated, step.tokens, step.cost, step.duration.p95) == (8, 12, 60, 1.0, 3000.0)
        totals = await questions.run_totals(*window)
        assert [(one.state, one.steps, one.input, one.output, one.duration_ms) for one in totals] == [
            (RunState.ERROR, 1, 10, 4, 7000.0),
            (RunState.SUCCESS, 1, 10, 4, 5000.0),
        ]
        assert totals == await SqlQuestions(engine).run_totals(*window)
    # And each decision is there once, with the key of its message in the archive
    decisions = await rows_of(
        in_process,
        "SELECT item, verdict, archive_key, superstep FROM decision_events FINAL "
        "LEFT JOIN (SELECT correlation_id, superstep FROM steps FINAL WHERE told) AS s USING correlation_id ORDER BY item",
    )
    assert [(one["item"], one["verdict"], one["superstep"]) for one in decisions] == [
        *[("a", "kept", 1)] * 2,
        *[("b", "eliminated", 1)] * 2,
    ]
    assert all(one["archive_key"].startswith("steps/2026/") for one in decisions)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_copy_that_is_written_late_does_not_win_over_a_newer_one(
    engine: AsyncEngine, in_process: StoreSettings
) -> None:
    # Given a processor that has read a run, and is slow to write it
    run = uuid4()
    await kept(engine, run)
    go_on, has_read = asyncio.Event(), asyncio.Event()

    class Slow(ClickHouse):
        async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
            has_read.set()
            await go_on.wait()
            await super().insert(table, columns, rows)

    async with ClickHouseSink(in_process, engine) as slow, ClickHouseSink(in_process, engine) as quick:
        await slow._clickhouse.close()
        slow._clickhouse = Slow(in_process)
        await slow._clickhouse.start()
        writing = asyncio.create_task(slow.copy([run]))
        await has_read.wait()
        # When another one commits a change and writes it first
        await changed(engine, run, status="success", finished_at=DECEMBER)
        await quick.copy([run])
        go_on.set()
        await writing
    # Then the change counts, before ClickHouse has merged the copies and after
    assert await states(in_process, DECEMBER - DAY, DECEMBER + DAY) == {RunState.SUCCESS: 1}
    async with ClickHouse(in_process) as clickhouse:
        await clickhouse.command("OPTIMIZE TABLE runs FINAL")
        assert [one["state"] for one in await clickhouse.query("SELECT state FROM runs")] == ["success"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_row_that_moves_to_another_month_is_there_once(engine: AsyncEngine, in_process: StoreSettings) -> None:
    # Given a run with a foreign id, of which a result is known, and a step of it, and no request
    run = uuid4()
    await kept(engine, run, status="success", finished_at=DECEMBER + HOUR)
    step = {"correlation_id": run, "step_key": "s", "workflow_id": "w", "name": "s", "at": DECEMBER, "failed": False}
    async with engine.begin() as connection:
        await connection.execute(insert(steps).values(step))
    async with ClickHouseSink(in_process, engine) as sink:
        await sink.copy([run])
        # When it turns out that both began in the month before
        await changed(engine, run, requested_at=DECEMBER - HOUR)
        await changed(engine, run, steps, at=DECEMBER - HOUR)
        await sink.copy([run])
    # Then each is where its last version is, and nowhere else
    months = (
        "SELECT partition FROM system.parts WHERE database = currentDatabase() AND active AND table = '{}' ORDER BY 1"
    )
    for table in ("runs", "steps"):
        assert [one["partition"] for one in await rows_of(in_process, months.format(table))] == ["202611", "202612"]
    assert await states(in_process, DECEMBER, DECEMBER + DAY) == {RunState.SUCCESS: 1}
    assert await states(in_process, DECEMBER - DAY, DECEMBER) == {}
    async with ClickHouseQuestions(in_process) as questions:
        assert await questions.step_summary(DECEMBER, DECEMBER + DAY) == []
        assert [one.runs for one in await questions.step_summary(DECEMBER - DAY, DECEMBER)] == [1]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_times_of_two_hundred_months_and_of_no_month_that_clickhouse_knows_are_written_at_once(
    engine: AsyncEngine, over_http: StoreSettings
) -> None:
    far = [DECEMBER + DAY * 31 * number for number in range(200)]
    ids = [uuid4() for _ in range(202)]
    for run, time in zip(ids, [*far, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)], strict=True):
        await kept(engine, run, requested_at=time)
    async with ClickHouseSink(over_http, engine) as sink:
        await sink.copy(ids)
    assert await states(over_http, DECEMBER - DAY, DECEMBER + DAY) == {RunState.PENDING: 202}
    [asked] = await rows_of(over_http, "SELECT min(requested_at) AS first, max(requested_at) AS last FROM runs")
    assert asked == {"first": datetime(1900, 1, 1, tzinfo=UTC), "last": datetime(2299, 12, 31, tzinfo=UTC)}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_tables_of_an_older_store_get_the_columns_that_they_lack(
    engine: AsyncEngine, over_http: StoreSettings
) -> None:
    async with ClickHouse(over_http) as clickhouse:
        await clickhouse.command(
            "CREATE TABLE steps (correlation_id UUID, step_key String, name String, at DateTime64(6, 'UTC'), version UInt64) "
            "ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(at) ORDER BY (correlation_id, step_key)"
        )
    run = uuid4()
    await kept(engine, run)
    step = {"correlation_id": run, "step_key": "s", "workflow_id": "w", "name": "s", "at": DECEMBER, "failed": True}
    async with engine.begin() as connection:
        await connection.execute(insert(steps).values(step))
    for _ in range(2):
        async with ClickHouseSink(over_http, engine) as sink:
            await sink.copy([run])
    async with ClickHouseQuestions(over_http) as questions:
        assert [one.failures for one in await questions.step_summary(DECEMBER, DECEMBER + DAY)] == [1]
    found = await rows_of(
        over_http,
        "SELECT name, engine, partition_key FROM system.tables WHERE database = currentDatabase() ORDER BY name",
    )
    assert [tuple(one.values()) for one in found] == [
        (name, "ReplacingMergeTree", "toYYYYMM(at)") for name in ("decision_events", "runs", "steps")
    ]


async def refused(url: str) -> AnalyticsError:
    with pytest.raises(AnalyticsError) as caught:
        async with ClickHouseQuestions(StoreSettings(clickhouse_url=url)) as questions:
            await questions.step_summary(DECEMBER, DECEMBER + DAY)
    assert "0pen" not in str(caught.value)
    return caught.value


async def test_a_clickhouse_that_is_not_there_or_refuses_is_told_of_in_words_and_without_secrets(
    clickhouse_server: str, clickhouse_database: str
) -> None:
    away = await refused(f"http://analyst:0pen@127.0.0.1:{free_port()}/analytics")
    assert away.retryable
    assert "cannot be reached" in str(away)
    assert "RESULT_STORE_CLICKHOUSE_URL" in str(away)
    foreign = await refused(clickhouse_server.replace("sesame", "nonsense"))
    assert not foreign.retryable
    assert "516 AUTHENTICATION_FAILED; set user and password in RESULT_STORE_CLICKHOUSE_URL" in str(foreign)
    nowhere = await refused(f"{clickhouse_server}/nowhere")
    assert "81 UNKNOWN_DATABASE; create the database" in str(nowhere)
    without_tables = await refused(f"{clickhouse_server}/{clickhouse_database}")
    assert "60 UNKNOWN_TABLE; `result-store run` and `result-store report refill` make the tables" in str(
        without_tables
    )


async def test_rows_that_are_none_are_refused_for_good_and_their_values_are_not_told(in_process: StoreSettings) -> None:
    value = "no time"
    async with ClickHouse(in_process) as clickhouse:
        await clickhouse.command("CREATE TABLE steps (id UUID, at DateTime64(6)) ENGINE = MergeTree ORDER BY id")
        with pytest.raises(AnalyticsError, match="was not asked to take rows of steps") as caught:
            await clickhouse.insert("steps", ["id", "at"], [[uuid4(), value]])
    assert not caught.value.retryable
    assert value not in "".join(traceback.format_exception(caught.value))


async def test_an_address_that_is_none_is_refused_without_its_secrets() -> None:
    with pytest.raises(ConfigurationError, match="RESULT_STORE_CLICKHOUSE_URL is no URL of a ClickHouse") as caught:
        async with ClickHouse(StoreSettings(clickhouse_url="http://analyst:0pen/sesame@host:8123/analytics")):
            pass
    assert "0pen" not in str(caught.value)
    for password in ("0pen", "1/0pen", "1?0pen", "1@0pen"):
        clickhouse = ClickHouse(StoreSettings(clickhouse_url=f"http://analyst:{password}@host:8123/analytics?x=1"))
        assert repr(clickhouse) == "ClickHouse('host:8123/analytics')"
    with pytest.raises(ConfigurationError, match="set RESULT_STORE_CLICKHOUSE_URL"):
        ClickHouse(StoreSettings())
