"""Answers requests at once, in a process of its own, so that what is measured is the requester's side.

A request may ask for strangers, as ``{"strangers": 20}`` in its data: so many results that nobody here waits for are published
ahead of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from benchmarks.log_filling import results
from workflow_events import KafkaSettings, WorkflowResultEvent, wire
from workflow_events.transport import aio

__all__ = ["echoing"]

_FETCH_MAX_WAIT_MS = 10
_STRANGERS = 2_000
"""How many different ones there are; who asks for more gets the same again."""


async def _serve(settings: KafkaSettings, ready: Event) -> None:
    consumer = await aio.start_consumer(settings, settings.workflow_events_topic, fetch_max_wait_ms=_FETCH_MAX_WAIT_MS)
    producer = await aio.start_producer(settings)
    strangers = itertools.cycle(list(results(_STRANGERS)))
    ready.set()
    while True:
        batches = await consumer.getmany(timeout_ms=1000)
        for record in (record for batch in batches.values() for record in batch):
            address = wire.return_address_in(record.headers)
            assert address is not None
            event = wire.decode_event(record.value)
            wanted = event.payload.data.get("strangers")
            for message in itertools.islice(strangers, wanted if isinstance(wanted, int) else 0):
                await producer.send(address.topic, message.value, key=message.key, headers=message.headers)
            result = WorkflowResultEvent(
                correlation_id=event.event_id,
                workflow_id=event.workflow_id,
                workflow_run_id=event.workflow_run_id,
                result=event.payload.data,
            )
            message = wire.result_message(result, topic=address.topic)
            await producer.send(message.topic, message.value, key=message.key, headers=message.headers)


def _main(settings: KafkaSettings, ready: Event) -> None:
    asyncio.run(_serve(settings, ready))


@contextmanager
def echoing(settings: KafkaSettings) -> Iterator[None]:
    """Every request and every ping is answered while the block lasts."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_main, args=(settings, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(60), "the echo did not start"
        yield
    finally:
        process.kill()
        process.join()
