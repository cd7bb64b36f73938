"""The whole way: a result is published, stored by the processor, lost by the topic, and found through the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from result_store.api.app import create_app
from result_store.api.keys import ApiKeys
from result_store.api.parts import ApiParts
from result_store.api.serving import HttpService
from result_store.archive import Archive
from result_store.cache import LocalCache
from result_store.database.database import ResultDatabase
from result_store.metrics import StoreMetrics
from result_store.processor import Processor
from result_store.settings import StoreSettings
from tests.integration.store.conftest import Backend
from tests.integration.store.source.test_second_source import by_loop, by_thread, event, make_anew, publish
from workflow_events import (
    AsyncWorkflowClient,
    ConfigurationError,
    KafkaSettings,
    PendingRequest,
    ResultTimeoutError,
    WorkflowResultEvent,
)
from workflow_events.identifiers import new_event_id
from workflow_events.stored_results import AsyncStoredResults


@dataclass
class Store:
    """The store's processor and API, in this event loop."""

    url: str
    keys: ApiKeys
    database: ResultDatabase

    async def settings_of(self, kafka: KafkaSettings, service: str = "waiters", **bound: Any) -> KafkaSettings:
        """The settings of one who may ask."""
        key = await self.keys.create(service, **bound)
        return kafka.replace(result_store_url=self.url, result_store_api_key=key, result_store_service=service)


@asynccontextmanager
async def running(kafka: KafkaSettings, settings: StoreSettings) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        database = ResultDatabase(settings)
        stack.push_async_callback(database.close)
        await database.start(migrate=True)
        metrics, archive = StoreMetrics(), Archive(settings)
        cache = LocalCache(100, settings.cache_ttl)
        processor = Processor(kafka, settings, database, archive=archive, cache=cache, metrics=metrics)
        parts = ApiParts(settings=settings, database=database, cache=cache, metrics=metrics, archive=archive)
        service = HttpService(settings, create_app(parts), metrics)
        await stack.enter_async_context(service.serving())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(processor.run())
        stack.callback(processor.stop)
        assert service.url is not None
        yield Store(service.url, ApiKeys(database.engine), database)


async def answered(store: Store, kafka: KafkaSettings, result: dict[str, Any]) -> PendingRequest:
    """A request with its result, both stored; of the topic's messages its reply cursor has seen some."""
    async with AsyncWorkflowClient(kafka) as client:
        for _ in range(6):
            await publish(kafka, event(new_event_id(), {}))
        pending = await client.submit("w", {}, metadata={"user_id": "u-1"}, timeout=120)
    # A cursor from after those messages, whatever the client has read of them.
    seen = dict.fromkeys(range(kafka.topic_partitions), 6)
    await publish(
        kafka, event(pending.correlation_id, result, workflow_run_id=pending.workflow_run_id, usage={"total_tokens": 9})
    )
    async with asyncio.timeout(60):
        while (run := await store.database.queries.run(pending.correlation_id)) is None or run.status is None:
            await asyncio.sleep(0.05)
    return pending.model_copy(update={"reply_cursor": seen})


@pytest.mark.parametrize("large", [False, True], ids=["in its row", "in the archive"])
async def test_a_result_that_the_topic_has_lost_is_found_in_the_store(backend: Backend, large: bool) -> None:
    # Given a result that was stored, in a topic that was made anew since
    result = {"text": "x" * (5000 if large else 5)}
    settings = backend.with_settings(auth="keys", inline_result_bytes=1000)
    async with running(backend.kafka, settings) as store:
        pending = await answered(store, backend.kafka, result)
        await asyncio.to_thread(make_anew, backend.kafka)
        # When it is waited for by a thread and in an event loop, each with a key
        kafka = await store.settings_of(backend.kafka)
        found = [await by_thread(kafka, pending), await by_loop(kafka, pending)]
        # Then both have it, whole
        for one in found:
            assert isinstance(one, WorkflowResultEvent)
            assert (one.result, one.usage, one.workflow_id) == (result, {"total_tokens": 9}, "w")
            assert one.workflow_run_id == pending.workflow_run_id
        # And who is bound to another user, or has a revoked key, does not, and waits as without a store
        late = pending.model_copy(update={"deadline": pending.deadline.replace(year=2020)})
        other = await store.settings_of(backend.kafka, user_id="u-2")
        with pytest.raises(ResultTimeoutError) as unseen:
            await by_loop(other, late)
        assert unseen.value.store is None
        [*_, last] = await store.keys.list()
        await store.keys.revoke(last.key_id)
        with pytest.raises(ResultTimeoutError, match="revoked") as refused:
            await by_loop(other.replace(client_id="again"), late)
        assert other.result_store_api_key is not None
        assert other.result_store_api_key.get_secret_value() not in str(refused.value)


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
async def test_an_address_that_leads_beside_the_api_is_no_store_that_knows_nothing(backend: Backend) -> None:
    async with running(backend.kafka, backend.settings) as store:
        wrong = AsyncStoredResults(backend.kafka.replace(result_store_url=f"{store.url}/results"))
        with pytest.raises(ConfigurationError, match="KAFKA_RESULT_STORE_URL"):
            await wrong.run(new_event_id())
        await wrong.aclose()
