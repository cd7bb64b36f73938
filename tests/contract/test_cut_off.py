"""Whatever a loop was just doing when it ends, the clients that were open in it leave no connection open.

``asyncio.run`` cancels every task there is when it ends, aiokafka's own too.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer

from workflow_events import KafkaSettings
from workflow_events.replies import topic_log
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

TURNS = 60
"""Opening and closing what is opened here takes about as many turns of the event loop."""

Use = Callable[[KafkaSettings, asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    topic = settings.workflow_results_topic
    async with topic_log.open_log(settings, topic) as consumer:
        topic_log.assign_at(consumer, topic, dict.fromkeys(topic_log.partitions(consumer, topic), 0))
        yield consumer


async def read_and_wait(settings: KafkaSettings, at_it: asyncio.Event) -> None:
    async with reading(settings) as consumer:
        at_it.set()
        while True:
            await consumer.getmany(timeout_ms=50)


async def read_and_close(settings: KafkaSettings, at_it: asyncio.Event) -> None:
    async with reading(settings) as consumer:
        await consumer.getmany(timeout_ms=1)
        at_it.set()
    await asyncio.Event().wait()


async def be_a_member(settings: KafkaSettings, at_it: asyncio.Event) -> None:
    consumer = await aio.start_consumer(settings, settings.workflow_events_topic, group_id="cut-off")
    try:
        at_it.set()
        while True:
            await consumer.getmany(timeout_ms=50)
    finally:
        await aio.stop(consumer)


async def publish_many(settings: KafkaSettings, at_it: asyncio.Event) -> None:
    producer = await aio.start_producer(settings)
    try:
        at_it.set()
        while True:
            message = OutgoingMessage(topic=settings.workflow_results_topic, key=b"k", value=b"v" * 100, headers=[])
            await asyncio.gather(*(aio.send(producer, message) for _ in range(10)))
    finally:
        await producer.stop()


@pytest.mark.parametrize("use", [read_and_wait, read_and_close, be_a_member, publish_many])
def test_a_loop_that_ends_leaves_no_connection_open(embedded_settings: KafkaSettings, use: Use) -> None:
    async def ended_after(turns: int) -> None:
        at_it = asyncio.Event()
        using = asyncio.ensure_future(use(embedded_settings, at_it))
        await asyncio.wait([using, asyncio.ensure_future(at_it.wait())], return_when=asyncio.FIRST_COMPLETED)
        for _ in range(turns):
            await asyncio.sleep(0)

    left = []
    for turns in range(TURNS):
        # When a loop ends so many turns after the client was put to use
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            asyncio.run(ended_after(turns))
            gc.collect()
        # Then the garbage collector finds nothing that is still open
        left += [(turns, str(one.message)) for one in told if issubclass(one.category, ResourceWarning)]
    assert left == []
