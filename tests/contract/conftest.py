"""A worker's stand-in: it answers requests as the contract says, without a graph."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from workflow_events import KafkaSettings, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.transport import aio

Answer = Callable[[WorkflowEvent], list[WorkflowResultEvent]]
Respond = Callable[..., contextlib.AbstractAsyncContextManager[None]]


def echo(event: WorkflowEvent) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        correlation_id=event.event_id,
        workflow_id=event.workflow_id,
        workflow_run_id=event.workflow_run_id,
        result={"echo": event.payload.data},
        attempt=event.attempt,
    )


async def _serve(settings: KafkaSettings, answer: Answer, ready: Callable[[], None]) -> None:
    consumer = await aio.start_consumer(settings, settings.workflow_events_topic, fetch_max_wait_ms=50)
    producer = await aio.start_producer(settings)
    ready()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=100)
            for record in (record for batch in batches.values() for record in batch):
                address = wire.return_address_in(record.headers) or wire.ReturnAddress(settings.workflow_results_topic)
                for result in answer(wire.decode_event(record.value)):
                    await aio.send(producer, wire.result_message(result, topic=address.topic))
    finally:
        await consumer.stop()
        await producer.stop()


@pytest.fixture
def respond() -> Respond:
    """``async with respond(settings, answer=...)``: every request is answered while the block lasts."""

    @contextlib.asynccontextmanager
    async def responding(settings: KafkaSettings, answer: Answer = lambda event: [echo(event)]) -> AsyncIterator[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(_serve(settings, answer, ready.set))
        begun = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield
        finally:
            begun.cancel()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return responding


@pytest.fixture
def publish() -> Callable[[KafkaSettings, list[WorkflowResultEvent]], Awaitable[None]]:
    """Publish results, as a worker would."""

    async def publishing(settings: KafkaSettings, results: list[WorkflowResultEvent]) -> None:
        producer = await aio.start_producer(settings)
        try:
            futures = []
            for result in results:
                message = wire.result_message(result, topic=settings.workflow_results_topic)
                futures.append(
                    await producer.send(message.topic, message.value, key=message.key, headers=message.headers)
                )
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    return publishing
