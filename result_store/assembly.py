"""What the store's parts are: how each is made from the settings, how it is touched, and what it needs.

:data:`WIRING` is the whole store. Which of it a process has is decided by its role.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from result_store.analytics.sql_questions import SqlQuestions
from result_store.announcing import Announcer
from result_store.archive import Archive
from result_store.cache import LocalCache
from result_store.database import migrations
from result_store.database.database import ResultDatabase
from result_store.live import LiveFeed
from result_store.metrics import StoreMetrics
from result_store.processor import Processor
from result_store.redis_cache import RedisCache
from result_store.roles import Role
from result_store.topics import stored_topic_spec
from workflow_events.errors import TopicNotFoundError
from workflow_events.payloads import Payloads
from workflow_events.topics import TopicOutcome, TopicSpec, ensure_topics, topic_specs
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from fastapi import FastAPI

    from result_store.analytics.clickhouse import ClickHouseSink
    from result_store.analytics.questions import Questions
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["WIRING", "Store"]


@dataclass(slots=True)
class Store:
    """The parts of one process. Those of its role are there while it is built; asking for another one is an AttributeError.

    Attributes:
        create_topics: make the topics that are missing.
        migrate: bring the database to this version's schema.
        archive: None where whole messages are not kept.
        clickhouse: None where there is none.
    """

    kafka: KafkaSettings
    settings: StoreSettings
    role: Role
    create_topics: bool = False
    migrate: bool = False
    metrics: StoreMetrics = field(default_factory=StoreMetrics)
    topics: dict[str, str] = field(default_factory=dict)
    database: ResultDatabase = field(init=False)
    archive: Archive | None = field(init=False)
    cache: LocalCache | RedisCache = field(init=False)
    clickhouse: ClickHouseSink | None = field(init=False)
    questions: Questions = field(init=False)
    announcer: Announcer = field(init=False)
    processor: Processor = field(init=False)
    feed: LiveFeed = field(init=False)
    app: FastAPI = field(init=False)

    @property
    def stores(self) -> bool:
        """Whether it writes what the topics tell."""
        return self.role in {Role.ALL, Role.PROCESSOR, Role.REPLAY}


@asynccontextmanager
async def _nothing(store: Store) -> AsyncIterator[None]:  # noqa: ARG001
    yield


@asynccontextmanager
async def _brokers(store: Store) -> AsyncIterator[None]:
    await asyncio.to_thread(lambda: blocking.new_admin(store.kafka).close())
    yield


async def _touch_brokers(store: Store) -> str:
    return store.kafka.bootstrap_servers


def _event_topics(store: Store) -> list[TopicSpec]:
    names = {store.kafka.workflow_events_topic, store.kafka.workflow_results_topic, store.kafka.workflow_progress_topic}
    return [spec for spec in topic_specs(store.kafka) if spec.name in names]


def _stored_topic(store: Store) -> list[TopicSpec]:
    return [stored_topic_spec(store.kafka, store.settings)]


def _topics(specs: Callable[[Store], Sequence[TopicSpec]]) -> Callable[[Store], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[None]:
        make = partial(ensure_topics, store.kafka, create=store.create_topics, specs=specs(store))
        reports = await asyncio.to_thread(make)
        missing = [report.name for report in reports if report.outcome is TopicOutcome.MISSING]
        if missing:
            raise TopicNotFoundError(f"{', '.join(map(repr, missing))} not found at {store.kafka.bootstrap_servers}")
        store.topics.update({one.name: "; ".join(map(str, one.differences)) for one in reports})
        yield

    return opened


def _touch_topics(specs: Callable[[Store], Sequence[TopicSpec]]) -> Callable[[Store], object]:
    async def touch(store: Store) -> str:
        told = {spec.name: store.topics[spec.name] for spec in specs(store)}
        return ", ".join(f"{name} ({differs})" if differs else name for name, differs in told.items())

    return touch


async def _touch_claim_checks(store: Store) -> str:
    if store.kafka.claim_check_store is None:
        return "none is set"
    await Payloads(store.kafka).aping()
    return store.kafka.claim_check_store


async def _touch_migrations(store: Store) -> str:
    at = await asyncio.to_thread(migrations.current, store.settings)
    return f"the database is at schema {at or 'none'}, the newest is {migrations.head()}"


@asynccontextmanager
async def _database(store: Store) -> AsyncIterator[None]:
    store.database = ResultDatabase(store.settings)
    try:
        await store.database.start(migrate=store.migrate)
        yield
    finally:
        await store.database.close()


async def _touch_database(store: Store) -> str:
    await store.database.ping()
    kind = "PostgreSQL" if store.settings.is_postgresql else "SQLite"
    return f"{kind}, schema {migrations.head()}"


@asynccontextmanager
async def _archive(store: Store) -> AsyncIterator[None]:
    store.archive = Archive(store.settings) if store.settings.archives else None
    yield


async def _touch_archive(store: Store) -> str:
    if store.archive is None:
        return "whole messages are not kept"
    await store.archive.ping(write=store.stores)
    return store.settings.archive


@asynccontextmanager
async def _cache(store: Store) -> AsyncIterator[None]:
    settings, count = store.settings, store.metrics.cached
    if settings.redis_url is not None:
        store.cache = RedisCache(settings, on_request=count)
    else:
        store.cache = LocalCache(settings.cache_entries, settings.cache_ttl, on_request=count)
    try:
        yield
    finally:
        await store.cache.close()


async def _touch_cache(store: Store) -> str:
    if not isinstance(store.cache, RedisCache):
        return "this process's own"
    await store.cache.ping()
    return "Redis"


@asynccontextmanager
async def _clickhouse(store: Store) -> AsyncIterator[None]:
    store.clickhouse = None
    if store.settings.clickhouse_url is None:
        yield
        return
    from result_store.analytics.clickhouse import ClickHouseSink  # noqa: PLC0415 - brings a driver that few need

    store.clickhouse = ClickHouseSink(store.settings, store.database)
    try:
        await store.clickhouse.start()
        yield
    finally:
        await store.clickhouse.close()


async def _touch_clickhouse(store: Store) -> str:
    if store.clickhouse is None:
        return "none is set; the database answers the analytics' questions"
    await store.clickhouse.ping()
    return "ClickHouse"


@asynccontextmanager
async def _questions(store: Store) -> AsyncIterator[None]:
    store.questions = SqlQuestions(store.database.engine)
    yield


async def _touch_questions(store: Store) -> str:
    now = datetime.now(tz=UTC)
    await store.questions.step_summary(now - timedelta(seconds=1), now)
    return type(store.questions).__name__


@asynccontextmanager
async def _announcer(store: Store) -> AsyncIterator[None]:
    store.announcer = Announcer(store.kafka, store.settings.stored_topic)
    try:
        await store.announcer.start()
        yield
    finally:
        await store.announcer.stop()


@asynccontextmanager
async def _processor(store: Store) -> AsyncIterator[None]:
    store.processor = Processor(
        store.kafka,
        store.settings,
        store.database,
        archive=store.archive,
        announcer=store.announcer,
        cache=store.cache,
        sink=store.clickhouse,
        metrics=store.metrics,
    )
    yield


async def _touch_processor(store: Store) -> str:
    return f"group {store.settings.group_id}"


@asynccontextmanager
async def _feed(store: Store) -> AsyncIterator[None]:
    told = {}
    if isinstance(store.cache, LocalCache):
        # Other processes' writes come to a process's own cache on this way alone.
        cache = store.cache
        told = {"on_stored": lambda changed: cache.forget_now(owners_of(changed)), "on_gap": cache.clear}
    store.feed = LiveFeed(store.kafka, store.settings.stored_topic, **told)
    reading = asyncio.ensure_future(store.feed.run())
    try:
        yield
    finally:
        store.feed.end()
        await reading


async def _touch_feed(store: Store) -> str:
    await store.feed.check()
    return store.settings.stored_topic
