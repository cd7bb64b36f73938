"""The ways of getting the same events into PostgreSQL, each in a process of its own, as a store has one.

The processes are forked off a clean one that has imported everything. What they need ready before the clock starts they make
themselves, and then have Python look for garbage as seldom as the store does.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from benchmarks.bare_upsert import Rows, connected, write
from benchmarks.own_process import call_in_new_process
from benchmarks.store_messages import EVENTS_OF_A_REQUEST, audit
from result_store.database.database import ResultDatabase
from result_store.event_loop import run_serving
from result_store.facts import ProgressFact, RequestFact, ResultFact, TopicRole
from result_store.garbage import settle
from result_store.metrics import StoreMetrics
from result_store.processor import Processor
from result_store.rows import rows_of
from result_store.settings import StoreSettings
from workflow_events.wire import correlation_id_in, decode_event, decode_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from result_store.facts import Fact
    from workflow_events import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = [
    "BATCH",
    "ENOUGH_SECONDS",
    "Job",
    "database",
    "in_new_process",
    "process_topics",
    "save_events",
    "write_rows",
]

BATCH = 1000
_INLINE = 262_144
"""Both are the settings' defaults."""
ENOUGH_SECONDS = 300
"""Seconds after which a job has failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """All events of so many requests, for a database with the store's tables.

    Attributes:
        kafka: where they are published, too.
    """

    kafka: KafkaSettings
    dsn: str
    requests: int

    @property
    def events(self) -> int:
        """How many they are."""
        return self.requests * EVENTS_OF_A_REQUEST


Way = Callable[[Job], Awaitable[float]]
"""Does a job; the seconds it took."""


async def in_new_process(way: Way, job: Job) -> float:
    """Do a job in a process of its own.

    Raises:
        RuntimeError: the process failed; what it said is on standard error.
    """
    return await asyncio.to_thread(_in_new_process, way, job)


async def write_rows(job: Job) -> float:
    """Bare upserts of the rows that the events make."""
    batches: list[Rows] = [rows_of(batch, archives=False, inline_bytes=_INLINE).tables for batch in _batches(job)]
    async with connected(job.dsn) as connection:
        settle()
        began = time.perf_counter()
        await write(connection, batches)
        return time.perf_counter() - began


async def save_events(job: Job) -> float:
    """The store's save of validated events."""
    batches = _batches(job)
    async with database(job.dsn) as ours:
        settle()
        began = time.perf_counter()
        for batch in batches:
            await ours.save(batch)
        return time.perf_counter() - began


async def process_topics(job: Job) -> float:
    """A processor, from when its group has given it the partitions until the last event is in the database."""
    settings = StoreSettings(
        database_url=SecretStr(job.dsn), archive="none", group_id=f"measured-{uuid.uuid4().hex}", batch_size=BATCH
    )
    async with database(job.dsn) as ours:
        metrics = _Counting(job.events)
        processor = Processor(job.kafka, settings, ours, metrics=metrics)
        settle()
        async with asyncio.TaskGroup() as group:
            group.create_task(processor.run())
            while not processor.partitions:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
            began = time.perf_counter()
            await metrics.all_there.wait()
            seconds = time.perf_counter() - began
            processor.stop()
        return seconds


@asynccontextmanager
async def database(dsn: str, *, migrate: bool = False) -> AsyncIterator[ResultDatabase]:
    """A database with the store's tables and indexes."""
    opened = ResultDatabase(StoreSettings(database_url=SecretStr(dsn), archive="none"))
    try:
        await opened.start(migrate=migrate)
        yield opened
    finally:
        await opened.close()


class _Counting(StoreMetrics):
    """Tells when so many messages are stored."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.all_there = asyncio.Event()
        self._wanted = wanted

    def saved(self, seconds: float, messages: int, changed: int) -> None:
        super().saved(seconds, messages, changed)
        self._wanted -= messages
        if self._wanted <= 0:
            self.all_there.set()


def _batches(job: Job) -> list[list[Fact]]:
    facts = [_fact(role, message) for role, message in audit(job.kafka, job.requests)]
    return [facts[begin : begin + BATCH] for begin in range(0, len(facts), BATCH)]


def _fact(role: TopicRole, message: OutgoingMessage) -> Fact:
    if role is TopicRole.RESULTS:
        return ResultFact(decode_result(message.value), message.value)
    event = decode_event(message.value)
    if role is TopicRole.REQUESTS:
        return RequestFact(event, message.value)
    about = correlation_id_in(message.headers, message.value)
    assert about is not None
    return ProgressFact(event, about, message.value)


def _in_new_process(way: Way, job: Job) -> float:
    failure = f"{way.__name__} failed with the events of {job.requests:,} requests"
    return call_in_new_process(_done, way, job, preload=__name__, failure=failure)


def _done(way: Way, job: Job) -> float:
    return run_serving(_run(way, job))


async def _run(way: Way, job: Job) -> float:
    async with asyncio.timeout(ENOUGH_SECONDS):
        return await way(job)
