"""The parts that keep data and answer for them: database, archive, cache, ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from result_store.analytics.sql_questions import SqlQuestions
from result_store.archive import Archive
from result_store.cache import LocalCache
from result_store.database import migrations
from result_store.database.database import ResultDatabase
from result_store.redis_cache import RedisCache
from result_store.roles import Role
from result_store.settings import variable
from result_store.wiring import Part

if TYPE_CHECKING:
    from result_store.assembly.store import Store

__all__ = ["DATA_PARTS"]


@asynccontextmanager
async def _migrations(store: Store) -> AsyncIterator[None]:  # noqa: ARG001 - they connect for as long as they take
    yield


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
    await store.archive.ping(write=store.role is not Role.API)
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
        return "the process's own"
    await store.cache.ping()
    return "Redis"


@asynccontextmanager
async def _clickhouse(store: Store) -> AsyncIterator[None]:
    store.clickhouse = None
    if store.settings.clickhouse_url is None:
        yield
        return
    from result_store.analytics.clickhouse import ClickHouseSink  # noqa: PLC0415 - brings a driver that few need

    async with ClickHouseSink(store.settings, store.database.engine) as store.clickhouse:
        yield


async def _touch_clickhouse(store: Store) -> str:
    if store.clickhouse is None:
        return "none is set"
    await store.clickhouse.ping()
    return "ClickHouse"


@asynccontextmanager
async def _questions(store: Store) -> AsyncIterator[None]:
    if store.settings.clickhouse_url is None:
        store.questions = SqlQuestions(store.database.engine)
        yield
        return
    from result_store.analytics.clickhouse_questions import ClickHouseQuestions  # noqa: PLC0415 - as above

    async with ClickHouseQuestions(store.settings) as store.questions:
        yield


async def _touch_questions(store: Store) -> str:
    now = datetime.now(tz=UTC)
    await store.questions.step_summary(now - timedelta(seconds=1), now)
    return "asked of " + ("the database" if store.settings.clickhouse_url is None else "ClickHouse")


_CLICKHOUSE: Final = (
    f"Set {variable('clickhouse_url')} to a ClickHouse that runs, or leave it out: then the database answers the analytics' "
    "questions."
)

DATA_PARTS: Final = (
    Part(
        "migrations",
        (),
        (variable("database_url"),),
        f"Set {variable('database_url')} to a database that is there, whose user may make tables.",
        _migrations,
        _touch_migrations,
    ),
    Part(
        "database",
        (),
        (variable("database_url"),),
        f"Set {variable('database_url')} to a database that is there, and bring it to this version's schema with `result-store "
        "migrate`.",
        _database,
        _touch_database,
    ),
    Part(
        "archive",
        (),
        (variable("archive"),),
        f"Set {variable('archive')} to a folder or a bucket that is there, and what its tools need (AWS_…) too; or to "
        "none.",
        _archive,
        _touch_archive,
    ),
    Part(
        "cache",
        (),
        (variable("redis_url"),),
        f"Set {variable('redis_url')} to a Redis that runs, or leave it out: then each process has a cache of its own.",
        _cache,
        _touch_cache,
    ),
    Part("clickhouse", ("database",), (variable("clickhouse_url"),), _CLICKHOUSE, _clickhouse, _touch_clickhouse),
    Part(
        "questions",
        ("database",),
        (variable("clickhouse_url"), variable("database_url")),
        _CLICKHOUSE,
        _questions,
        _touch_questions,
    ),
)
