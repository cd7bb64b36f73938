"""What tests of the processor do: publish, wait until it is stored, and compare what is stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import obstore
from aiokafka import AIOKafkaConsumer, TopicPartition
from obstore.store import from_url
from sqlalchemy import func, select

from result_store.archive import Archive
from result_store.database.database import ResultDatabase
from result_store.database.tables import metadata
from result_store.processor import Processor
from result_store.processors import Processors
from result_store.reading import fact_of, topic_roles
from result_store.settings import StoreSettings
from tests.integration.worker.observing import eventually
from workflow_events import KafkaSettings
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

__all__ = [
    "PATIENCE",
    "Ends",
    "archived",
    "at_work",
    "committed",
    "count",
    "dump",
    "everything_committed",
    "fingerprints",
    "opened",
    "publish",
    "stored_once",
]

PATIENCE: Final = 60.0
_AT_ONCE: Final = 5_000
_NOT_COMPARED: Final = {"api_keys", "page_sessions", "alembic_version"}

Ends = dict[TopicPartition, int]
Works = TypeVar("Works", Processor, Processors)


@asynccontextmanager
async def opened(settings: StoreSettings) -> AsyncIterator[ResultDatabase]:
    """The settings' database, with its tables."""
    database = ResultDatabase(settings)
    try:
        await database.start(migrate=True)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def at_work(processor: Works) -> AsyncIterator[Works]:
    """A processor, or several, that runs while inside, and is stopped in good order."""
    running = asyncio.ensure_future(processor.run())
    try:
        yield processor
    finally:
        processor.stop()
        await running


async def publish(settings: KafkaSettings, messages: Iterable[OutgoingMessage]) -> Ends:
    """Publish messages as they are, as fast as it goes; the offsets behind the last of each partition."""
    producer = await aio.start_unsure_producer(settings, linger_ms=5)
    ends: Ends = {}
    left = iter(messages)
    try:
        while some := list(islice(left, _AT_ONCE)):
            sent = [
                await producer.send(one.topic, one.value, one.key, one.partition, headers=one.headers) for one in some
            ]
            for told in await asyncio.gather(*sent):
                partition = TopicPartition(told.topic, told.partition)
                ends[partition] = max(ends.get(partition, 0), told.offset + 1)
        return ends
    finally:
        await producer.stop()


async def committed(settings: KafkaSettings, group_id: str, partitions: Iterable[TopicPartition]) -> Ends:
    """What the group has committed, nought where it has nothing."""
    async with _looking_at(settings, group_id) as consumer:
        return {partition: await consumer.committed(partition) or 0 for partition in partitions}


async def everything_committed(settings: KafkaSettings, group_id: str, ends: Mapping[TopicPartition, int]) -> None:
    """Wait until the group has committed all that was published."""
    missing = dict(ends)
    async with _looking_at(settings, group_id) as consumer:

        async def done() -> bool:
            for partition, end in list(missing.items()):
                if (await consumer.committed(partition) or 0) < end:
                    return False
                del missing[partition]
            return True

        await eventually(done, PATIENCE)


@asynccontextmanager
async def _looking_at(settings: KafkaSettings, group_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that asks about the group and does not join it."""
    consumer = aio.new_consumer(settings, group_id=group_id)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def count(database: ResultDatabase, table: str) -> int:
    """The rows of a table."""
    async with database.engine.connect() as connection:
        found = await connection.execute(select(func.count()).select_from(metadata.tables[table]))
        return int(found.scalar_one())


async def dump(database: ResultDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that messages make, in an order of their own."""
    async with database.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in await connection.execute(select(table))), key=str)
            for table in metadata.sorted_tables
            if table.name not in _NOT_COMPARED
        }


async def fingerprints(database: ResultDatabase) -> dict[str, tuple[int, str]]:
    """What :func:`dump` gives, for tables of any size: how many rows each has, and a digest that knows no order."""
    found: dict[str, tuple[int, str]] = {}
    async with database.engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name not in _NOT_COMPARED:
                rows, digest = 0, 0
                async for row in await connection.stream(select(table)):
                    rows += 1
                    digest ^= int.from_bytes(hashlib.blake2b(repr(list(map(str, row))).encode()).digest()[:8])
                found[table.name] = (rows, f"{digest:016x}")
    return found


def archived(settings: StoreSettings) -> dict[str, bytes]:
    """All that is in the archive."""
    place = settings.archive if "://" in settings.archive else Path(settings.archive).absolute().as_uri()
    options: dict[str, Any] = {} if place.startswith("file") else {"client_options": {"allow_http": True}}
    store = from_url(place, **options)
    keys = [found["path"] for some in obstore.list(store) for found in some]
    return {key: bytes(obstore.get(store, key).bytes()) for key in keys}


@dataclass
class _Lying:
    """A message as it lies on its topic."""

    topic: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    key: bytes | None
    offset: int
    partition: int = 0
    timestamp: int = 0


@asynccontextmanager
async def stored_once(
    kafka: KafkaSettings, messages: Iterable[OutgoingMessage], folder: Path
) -> AsyncIterator[tuple[ResultDatabase, StoreSettings]]:
    """A store that was told each message once and in order, in SQLite and a folder, without a broker or a processor."""
    settings = StoreSettings(database_url=f"sqlite:///{folder / 'once.db'}", archive=str(folder / "once"))
    roles = topic_roles(kafka)
    left = enumerate(messages)
    async with opened(settings) as database:
        keep = Archive(settings).put
        while some := list(islice(left, _AT_ONCE)):
            facts = [
                fact_of(_Lying(one.topic, one.value, one.headers, one.key, number), roles[one.topic], kafka)
                for number, one in some
            ]
            await database.save([fact for fact in facts if fact is not None], keep=keep)
        yield database, settings
