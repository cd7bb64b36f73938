"""What tests of the worker look at: the topics as they are, and the group's offsets. And how they ask and wait."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from aiokafka import TopicPartition
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from langgraph_integration import WorkerSettings
from workflow_events import EventType, KafkaSettings, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent, wire
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.transport import aio

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], timeout: float = 30.0) -> T: ...


@overload
async def eventually(condition: Callable[[], T], timeout: float = 30.0) -> T: ...


async def eventually(condition: Callable[[], Any], timeout: float = 30.0) -> Any:
    """What ``condition`` returns once that is true."""

    async def ask() -> Any:
        found = condition()
        return await found if isinstance(found, Awaitable) else found

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda found: not found), stop=stop_after_delay(timeout), wait=wait_fixed(0.05)
    )
    return await retrying(ask)


def quick(broker: Broker, **options: Any) -> WorkerSettings:
    """A worker's settings with a group of its own, and with as short a session as the broker and a busy machine take.

    A worker that has heard nothing of its group for four fifths of its session takes itself for cut off.
    """
    session = 6.0 if isinstance(broker, ApacheKafka) else 4.0
    return WorkerSettings(
        **{"group_id": f"workers-{uuid.uuid4().hex[:8]}", "session_timeout": session, "drain_timeout": 10.0, **options}
    )


def request(workflow_id: str = "add", data: dict[str, Any] | None = None, **fields: Any) -> WorkflowEvent:
    """A request without a return address; by default one number is added to."""
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id=workflow_id,
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data or {"n": 1}),
        **fields,
    )


async def records(settings: KafkaSettings, topic: str) -> list[Any]:
    """All that a topic holds now."""
    return [record for found in (await _read(settings, topic)).values() for record in found]


async def results(settings: KafkaSettings) -> list[WorkflowResultEvent]:
    """All results that have been published."""
    return [wire.decode_result(record.value) for record in await records(settings, settings.workflow_results_topic)]


async def each_answered_once(settings: KafkaSettings, ids: set[uuid.UUID]) -> None:
    """Assert that every request has one result in the topic, and that nothing else is there."""
    counts = Counter(result.correlation_id for result in await results(settings))
    assert set(counts) == ids
    assert {one: count for one, count in counts.items() if count != 1} == {}


async def lag(settings: KafkaSettings, group_id: str) -> int:
    """How many messages of the requests topic the group has not committed."""
    read = await _read(settings, settings.workflow_events_topic)
    ends = {partition: found[-1].offset + 1 for partition, found in read.items() if found}
    consumer = aio.new_consumer(settings, group_id=group_id)
    await consumer.start()
    try:
        return sum([end - (await consumer.committed(partition) or 0) for partition, end in ends.items()])
    finally:
        await consumer.stop()


async def everything_committed(settings: KafkaSettings, group_id: str) -> None:
    """Wait until the committed offsets are the end offsets."""

    async def committed() -> bool:
        return await lag(settings, group_id) == 0

    await eventually(committed)


@contextlib.asynccontextmanager
async def producer(settings: KafkaSettings) -> Any:
    """A plain producer."""
    found = await aio.start_producer(settings)
    try:
        yield found
    finally:
        await found.stop()


async def publish(settings: KafkaSettings, *messages: wire.OutgoingMessage | WorkflowEvent) -> None:
    """Publish messages as they are, and requests without a return address."""
    async with producer(settings) as found:
        for message in messages:
            if isinstance(message, WorkflowEvent):
                message = wire.request_message(message, topic=settings.workflow_events_topic)  # noqa: PLW2901
            await aio.send(found, message)


async def _read(settings: KafkaSettings, topic: str) -> dict[TopicPartition, list[Any]]:
    # Up to the high watermark that the broker gives with what it returns: for its list of end offsets the embedded broker
    # takes the last batch for a single record.
    consumer = await aio.start_consumer(settings, topic, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    try:
        found: dict[TopicPartition, list[Any]] = {partition: [] for partition in await eventually(consumer.assignment)}
        while not all([await _read_up(consumer, partition) for partition in found]):
            for partition, batch in (await consumer.getmany(timeout_ms=100)).items():
                found[partition] += batch
        return found
    finally:
        await consumer.stop()


async def _read_up(consumer: Any, partition: TopicPartition) -> bool:
    end = consumer.highwater(partition)
    return end is not None and await consumer.position(partition) >= end
