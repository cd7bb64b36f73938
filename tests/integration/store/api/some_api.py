"""An API over a database of its own, and things to put into it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from result_store.api.app import create_app
from result_store.api.keys import ApiKeys
from result_store.api.parts import ApiParts
from result_store.archive import Archive
from result_store.cache import LocalCache, owners_of
from result_store.database.database import ResultDatabase
from result_store.facts import DeadLetterFact, Fact, InvalidFact, Place, RequestFact, ResultFact
from result_store.live import LiveFeed
from result_store.metrics import StoreMetrics
from result_store.settings import StoreSettings
from workflow_events.events import (
    EventSource,
    EventType,
    ResultStatus,
    WorkflowEvent,
    WorkflowEventMetadata,
    WorkflowEventPayload,
    WorkflowResultEvent,
)
from workflow_events.wire import encode

MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)
_offsets = itertools.count()


def request_of(
    number: int, *, user: str | None = None, tenant: str | None = None, batch: str = "batch-1"
) -> RequestFact:
    """The request with this number as its id, of its second."""
    extras = {name: value for name, value in {"user_id": user, "tenant_id": tenant}.items() if value is not None}
    event = WorkflowEvent(
        event_id=UUID(int=number),
        event_type=EventType.WORKFLOW_TRIGGERED,
        timestamp=MORNING + timedelta(seconds=number),
        source=EventSource.AIRFLOW,
        workflow_id="scoring",
        workflow_run_id=batch,
        payload=WorkflowEventPayload(data={"number": number}),
        metadata=WorkflowEventMetadata(**extras),
    )
    return RequestFact(event, encode(event))


def result_of(
    request: RequestFact, result: dict[str, Any] | None = None, status: ResultStatus = ResultStatus.SUCCESS
) -> ResultFact:
    """Its answer."""
    event = WorkflowResultEvent(
        correlation_id=request.correlation_id,
        workflow_id=request.event.workflow_id,
        workflow_run_id=request.event.workflow_run_id,
        timestamp=request.event.timestamp + timedelta(minutes=1),
        result=result or {"answer": 42},
        status=status,
    )
    return ResultFact(event, encode(event))


def invalid_message() -> InvalidFact:
    """A message that is none."""
    place = Place("requests", 0, next(_offsets))
    return InvalidFact(place, "malformed", "no JSON", None, None, (("h", b"\xff"),), b"<script>", 8, MORNING)


def dead_letter() -> DeadLetterFact:
    """What a worker has given up."""
    return DeadLetterFact(
        Place("requests.dlq", 0, next(_offsets)), "poison", "crashed 5 workers", UUID(int=9), None, 10, MORNING
    )


@dataclass(frozen=True)
class SomeApi:
    """The API, and the parts behind it."""

    app: FastAPI
    parts: ApiParts
    client: httpx.AsyncClient
    keys: ApiKeys

    async def store(self, *facts: Fact) -> None:
        """As the processor does."""
        archive = self.parts.archive
        saved = await self.parts.database.save(facts, keep=None if archive is None else archive.put)
        await self.parts.cache.forget(owners_of(saved.changed))

    def settle(self) -> None:
        """Make as if the last write lay some time back, so that answers are cached again."""
        assert isinstance(self.parts.cache, LocalCache)
        self.parts.cache._settling.clear()

    async def headers(self, service: str = "reports", **bound: Any) -> dict[str, str]:
        """What a service with a new key sends."""
        return {"X-Internal-API-Key": await self.keys.create(service, **bound), "X-Service-ID": service}

    async def get(self, path: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """Ask for something."""
        return await self.client.get(path, headers=headers, **options)


@asynccontextmanager
async def some_api(folder: Path, *, feed: LiveFeed | None = None, **settings: Any) -> AsyncIterator[SomeApi]:
    """An API that answers without a socket; everything in `folder` unless `settings` say otherwise."""
    defaults = {
        "database_url": f"sqlite:///{folder / 'store.db'}",
        "archive": str(folder / "archive"),
        "rate_limit": "none",
    }
    chosen = StoreSettings(**{**defaults, **settings})
    database = ResultDatabase(chosen)
    await database.start(migrate=True)
    metrics = StoreMetrics()
    parts = ApiParts(
        settings=chosen,
        database=database,
        cache=LocalCache(1000, chosen.cache_ttl, on_request=metrics.cached),
        metrics=metrics,
        archive=Archive(chosen) if chosen.archives else None,
        feed=feed,
        probes={"database": database.ping},
    )
    app = create_app(parts)
    try:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield SomeApi(app, parts, client, ApiKeys(database.engine))
    finally:
        await database.close()
