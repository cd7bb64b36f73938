"""What one process of the store has: its settings, and the parts of its role while they are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from result_store.metrics import StoreMetrics
from result_store.redis_cache import RedisCache
from result_store.roles import Role

if TYPE_CHECKING:
    from fastapi import FastAPI

    from result_store.analytics.clickhouse import ClickHouseSink
    from result_store.analytics.questions import Questions
    from result_store.announcing import Announcer
    from result_store.api.parts import Probe
    from result_store.archive import Archive
    from result_store.cache import LocalCache
    from result_store.database.database import ResultDatabase
    from result_store.live import LiveFeed
    from result_store.processor import Processor
    from result_store.processors import Processors
    from result_store.saving import Saving
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["OPTIONAL", "Store", "probes"]

OPTIONAL: Final = frozenset({"cache"})
"""What a process that runs can do without."""


@dataclass(slots=True)
class Store:
    """The parts of one process; a part that is not built is not there.

    Attributes:
        create_topics: make the topics that are missing.
        migrate: bring the database to this version's schema.
        topics: those that were found, and where each differs from the settings.
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
    saving: Saving = field(init=False)
    processor: Processor | Processors = field(init=False)
    feed: LiveFeed = field(init=False)
    app: FastAPI = field(init=False)

    @property
    def processes(self) -> bool:
        """Whether it is a member of the processors' group."""
        return self.role in {Role.ALL, Role.PROCESSOR}

    @property
    def answers(self) -> bool:
        """Whether it serves the API and the page."""
        return self.role in {Role.ALL, Role.API}


def probes(store: Store) -> dict[str, Probe]:
    """What ``/readyz`` asks of a process that is built: each dependency by its name."""
    found: dict[str, Probe] = {"database": store.database.ping}
    if store.archive is not None:
        found["archive"] = store.archive.ping
    if isinstance(store.cache, RedisCache):
        found["cache"] = store.cache.ping
    if store.processes:
        found["processor"] = lambda: _ask_processor(store)
        if store.settings.clickhouse_url is not None:
            found["clickhouse"] = lambda: _ping_clickhouse(store)
    if store.answers:
        found["live feed"] = store.feed.probe
    return found


# These two look for their part when they are asked: it may be built after the API.


async def _ask_processor(store: Store) -> None:
    await store.processor.ready()


async def _ping_clickhouse(store: Store) -> None:
    if store.clickhouse is not None:
        await store.clickhouse.ping()
