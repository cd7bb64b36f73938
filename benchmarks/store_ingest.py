"""The store's ingest on PostgreSQL, against a bare upsert of the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.ingesting import Job, Way, database, in_new_process, process_topics, save_events, write_rows
from benchmarks.measuring import Figure, compare
from benchmarks.side_by_side import rate_side_by_side
from benchmarks.store_messages import audit, publish
from workflow_events.testing.new_topics import new_topics
from workflow_events.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from result_store.database.database import ResultDatabase
    from workflow_events import KafkaSettings

__all__ = ["measure"]

_WRITTEN = ("runs", "run_events", "steps")
_PROCESSORS = 2
"""As many as the machine has cores that the figures in the documentation are of."""
_PARTITIONS = 2 * _PROCESSORS
_TARGET = ">= 0.6"


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Events a second: from validated events into rows, and the whole way from the topics."""
    with new_topics(settings.bootstrap_servers, topic_partitions=_PARTITIONS) as own:
        async for figure in _measure(own, broker, runs, max(10, int(5_000 * scale))):
            yield figure


async def _measure(settings: KafkaSettings, broker: str, runs: int, requests: int) -> AsyncIterator[Figure]:
    await asyncio.to_thread(publish, settings, [message for _, message in audit(settings, requests)])
    with PostgresServer() as server:
        job = Job(settings, server.create_database("ours"), requests)
        theirs = Job(settings, server.create_database("baseline"), requests)
        async with database(job.dsn, migrate=True) as here, database(theirs.dsn, migrate=True) as there:

            def timed(into: ResultDatabase, way: Way, what: Job) -> Callable[[], Awaitable[float]]:
                async def run() -> float:
                    await _empty(into)
                    return what.events / await in_new_process(way, what)

                return run

            common: dict[str, Any] = {
                "baseline": timed(there, write_rows, theirs),
                "runs": runs,
                "baseline_name": "bare unnest upsert of the same rows",
                "unit": "events/s",
            }
            yield await compare(
                f"store: {job.events:,} events into PostgreSQL",
                broker,
                timed(here, save_events, job),
                target=_TARGET,
                note="validated events in batches of 1,000; the baseline has the rows made before the clock starts",
                **common,
            )
            assert await _sizes(here) == await _sizes(there)

            async def side_by_side() -> float:
                await _empty(here)
                return await rate_side_by_side(job, _PROCESSORS)

            yield await compare(
                f"store: {job.events:,} events from the topics into PostgreSQL, {_PROCESSORS} processors",
                broker,
                side_by_side,
                target=_TARGET,
                note="processors that find them on their topics, as many as there are cores: read from Kafka, decoded and "
                "validated too; the baseline does none of that, and is one process",
                **common,
            )
            assert await _sizes(here) == await _sizes(there)
            yield await compare(
                f"store: {job.events:,} events from the topics into PostgreSQL, one processor",
                broker,
                timed(here, process_topics, job),
                note="the same, by one: what a core does",
                **common,
            )
            assert await _sizes(here) == await _sizes(there)


async def _empty(store: ResultDatabase) -> None:
    async with store.engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(_WRITTEN)}"))


async def _sizes(store: ResultDatabase) -> list[int]:
    async with store.engine.connect() as connection:
        return [await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in _WRITTEN]  # noqa: S608
