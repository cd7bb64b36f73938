"""The whole way: a result is published, stored by the processor, lost by the topic, and found through the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import tenacity

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

    async def has(self, correlation_id: UUID) -> None:
        """Return when the request's result is stored."""
        stored = tenacity.retry_if_result(lambda run: run is None or run.status is None)
        asking = tenacity.AsyncRetrying(retry=stored, wait=tenacity.wait_fixed(0.05))
        await asking(self.database.queries.run, correlation_id)


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


async def answered(store: Store, kafka: KafkaSettings, *results: dict[str, Any]) -> list[PendingRequest]:
    """Requests with these results, all stored; their reply cursors lie behind some messages of the topic."""
    async with AsyncWorkflowClient(kafka) as client:
        for _ in range(6):
            await publish(kafka, event(new_event_id(), {}))
        requests = [
            await client.submit("w", {}, metadata={"user_id": "u-1"}, workflow_run_id="r", timeout=120) for _ in results
        ]
    for pending, result in zip(requests, results, strict=True):
        await publish(kafka, event(pending.correlation_id, result, usage={"total_tokens": 9}))
        await store.has(pending.correlation_id)
    # A cursor from after those messages, whatever the client had read of them.
    cursor = dict.fromkeys(range(kafka.topic_partitions), 6)
    return [pending.model_copy(update={"reply_cursor": cursor}) for pending in requests]


async def test_a_result_that_the_topic_has_lost_is_found_in_the_store(backend: Backend) -> None:
    # Given two results that were stored, one in its row and one in the archive alone, and a topic that was made anew since
    small, large = {"text": "x"}, {"text": "x" * 5000}
    settings = backend.with_settings(auth="keys", inline_result_bytes=1000)
    async with running(backend.kafka, settings) as store:
        requests = await answered(store, backend.kafka, small, large)
        await asyncio.to_thread(make_anew, backend.kafka)
        # When they are waited for by a thread and in an event loop, with a key
        kafka = await store.settings_of(backend.kafka)
        found = [await by_thread(kafka, requests[0]), await by_loop(kafka, requests[1])]
        # Then both are there, whole
        assert [one.result for one in found] == [small, large]
        for one in found:
            assert (one.usage, one.workflow_id, one.workflow_run_id) == ({"total_tokens": 9}, "w", "r")
        # And who is bound to another user, or has a wrong key, finds nothing, as without a store
        late = requests[0].model_copy(update={"deadline": requests[0].deadline.replace(year=2020)})
        other = await store.settings_of(backend.kafka, user_id="u-2")
        with pytest.raises(ResultTimeoutError) as unseen:
            await by_loop(other, late)
        assert unseen.value.store is None
        assert other.result_store_api_key is not None
        wrong = other.result_store_api_key.get_secret_value()[:-4] + "0000"
        with pytest.raises(ResultTimeoutError, match="refuses this process") as refused:
            await by_loop(other.replace(result_store_api_key=wrong), late)
        assert wrong not in str(refused.value)
        # And an address that leads beside the API is not taken for a store that knows nothing
        beside = AsyncStoredResults(kafka.replace(result_store_url=f"{store.url}/results"))
        with pytest.raises(ConfigurationError, match="KAFKA_RESULT_STORE_URL"):
            await beside.run(requests[0].correlation_id)
        await beside.aclose()
