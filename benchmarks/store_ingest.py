"""The store's ingest on PostgreSQL, against a bare upsert of the same rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.bare_upsert import write
from benchmarks.measuring import Figure, compare
from benchmarks.store_messages import EVENTS_OF_A_REQUEST, audit, publish
from result_store.database.database import ResultDatabase
from result_store.facts import Place, ProgressFact, RequestFact, ResultFact, TopicRole
from result_store.replay import replay
from result_store.rows import rows_of
from result_store.saving import Saving
from result_store.settings import StoreSettings
from workflow_events.testing.postgres import PostgresServer
from workflow_events.wire import correlation_id_in, decode_event, decode_result

if TYPE_CHECKING:
    from result_store.facts import Fact
    from workflow_events import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["measure"]

_BATCH = 500
_INLINE = 262_144
"""Both are the settings' defaults."""
_WRITTEN = ("runs", "run_events", "steps")


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Events a second: from read messages into rows, and the whole way from the topics."""
    requests = max(10, int(5_000 * scale))
    messages = list(audit(settings, requests))
    facts = [_fact(role, message, offset) for offset, (role, message) in enumerate(messages)]
    count = requests * EVENTS_OF_A_REQUEST
    batches = [facts[begin : begin + _BATCH] for begin in range(0, count, _BATCH)]
    await asyncio.to_thread(publish, settings, [message for _, message in messages])
    with PostgresServer() as server:
        dsn = server.create_database("baseline")
        async with _database(server.create_database("ours")) as database, _database(dsn) as theirs:
            rows = [rows_of(batch, archives=False, inline_bytes=_INLINE).tables for batch in batches]

            async def save_each() -> int:
                for batch in batches:
                    await database.save(batch)
                return count

            async def replay_all() -> int:
                saving = Saving(settings, database)
                since = datetime.now(tz=UTC) - timedelta(days=1)
                return sum((await replay(settings, saving, since, batch_size=_BATCH)).messages.values())

            async def write_bare() -> int:
                await write(dsn, rows)
                return count

            def timed(into: ResultDatabase, work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[float]]:
                async def run() -> float:
                    await _empty(into)
                    began = time.perf_counter()
                    assert await work() == count
                    return count / (time.perf_counter() - began)

                return run

            common: dict[str, Any] = {
                "baseline": timed(theirs, write_bare),
                "runs": runs,
                "baseline_name": "bare unnest upsert of the same rows",
                "unit": "events/s",
            }
            yield await compare(
                f"store: {count:,} events into PostgreSQL",
                broker,
                timed(database, save_each),
                target=">= 0.6",
                note=f"validated events in batches of {_BATCH}; the baseline has the rows made before the clock starts",
                **common,
            )
            assert await _sizes(database) == await _sizes(theirs)
            yield await compare(
                f"store: {count:,} events from the topics into PostgreSQL",
                broker,
                timed(database, replay_all),
                note="`result-store replay`: read from Kafka, decoded and validated too; the baseline does none of that",
                **common,
            )
            assert await _sizes(database) == await _sizes(theirs)


def _fact(role: TopicRole, message: OutgoingMessage, offset: int) -> Fact:
    place = Place(message.topic, 0, offset)
    if role is TopicRole.RESULTS:
        return ResultFact(decode_result(message.value), message.value, place)
    event = decode_event(message.value)
    if role is TopicRole.REQUESTS:
        return RequestFact(event, message.value, place)
    about = correlation_id_in(message.headers, message.value)
    assert about is not None
    return ProgressFact(event, about, message.value, place)


@asynccontextmanager
async def _database(dsn: str) -> AsyncIterator[ResultDatabase]:
    """A database with the store's tables and indexes."""
    database = ResultDatabase(StoreSettings(database_url=SecretStr(dsn), archive="none"))
    try:
        await database.start(migrate=True)
        yield database
    finally:
        await database.close()


async def _empty(database: ResultDatabase) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(_WRITTEN)}"))


async def _sizes(database: ResultDatabase) -> list[int]:
    async with database.engine.connect() as connection:
        return [await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in _WRITTEN]  # noqa: S608
