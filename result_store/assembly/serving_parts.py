"""The parts that do the store's work: the processor, the live feed, the API with its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from result_store.api.app import create_app
from result_store.api.keys import ApiKeys
from result_store.api.parts import ApiParts
from result_store.assembly.store import OPTIONAL, Store, probes
from result_store.cache import LocalCache, owners_of
from result_store.live import LiveFeed
from result_store.processor import Processor
from result_store.processors import Processors
from result_store.saving import Saving
from result_store.settings import variable
from result_store.wiring import Part

__all__ = ["SERVING_PARTS"]

_OF_STORING: Final = ("event topics", "claim checks", "database", "archive", "cache", "clickhouse", "announcer")


@asynccontextmanager
async def _processor(store: Store) -> AsyncIterator[None]:
    if store.settings.processors > 1:
        store.processor = Processors(store.kafka, store.settings, store.metrics)
        yield
        return
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
    processors = store.settings.processors
    return f"group {store.settings.group_id}" + (f", in {processors} processes" if processors > 1 else "")


@asynccontextmanager
async def _saving(store: Store) -> AsyncIterator[None]:
    store.saving = Saving(
        store.kafka,
        store.database,
        archive=store.archive,
        announcer=store.announcer,
        cache=store.cache,
        sink=store.clickhouse,
        metrics=store.metrics,
    )
    yield


async def _touch_saving(store: Store) -> str:  # noqa: ARG001 - all that it needs has been touched
    return "in no group"


@asynccontextmanager
async def _feed(store: Store) -> AsyncIterator[None]:
    told: dict[str, Any] = {}
    cache = store.cache
    if isinstance(cache, LocalCache):
        # Of other processes' writes a process's own cache hears on this way alone.
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
    return f"reads {store.settings.stored_topic}"


@asynccontextmanager
async def _api(store: Store) -> AsyncIterator[None]:
    store.app = create_app(
        ApiParts(
            settings=store.settings,
            database=store.database,
            cache=store.cache,
            metrics=store.metrics,
            archive=store.archive,
            feed=store.feed,
            analytics=store.questions,
            probes=probes(store),
            optional=OPTIONAL,
        )
    )
    yield


async def _touch_api(store: Store) -> str:
    paths = len(store.app.openapi()["paths"])
    if store.settings.auth == "none":
        return f"{paths} paths, open to everybody on this machine"
    now = datetime.now(tz=UTC)
    keys = sum(key.is_in_force(now) for key in await ApiKeys(store.database.engine).list())
    return f"{paths} paths, {keys} keys in force" + ("" if keys else ": make one with `result-store keys create`")


SERVING_PARTS: Final = (
    Part(
        "processor",
        _OF_STORING,
        (variable("group_id"),),
        f"See that this process may read the topics, in the group that {variable('group_id')} names.",
        _processor,
        _touch_processor,
    ),
    Part("replaying", _OF_STORING, (), "See that this process may read the topics.", _saving, _touch_saving),
    Part(
        "live feed",
        ("stored topic", "cache"),
        (variable("stored_topic"),),
        f"See that this process may read the topic that {variable('stored_topic')} names.",
        _feed,
        _touch_feed,
    ),
    Part(
        "api",
        ("database", "archive", "cache", "questions", "live feed"),
        (variable("rate_limit"),),
        f"Set {variable('rate_limit')} to a rate such as 20/second, or to none.",
        _api,
        _touch_api,
    ),
)
