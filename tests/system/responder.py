"""A worker that answers as the request says, for tests of the requester's side: when, with which status, and how much.

It reads and writes the wire contract with aiokafka alone, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from aiokafka import TopicPartition

from workflow_events.events import ErrorDetail, ResultStatus, WorkflowEvent, WorkflowResultEvent
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio
from workflow_events.wire import decode_event, result_message, return_address_in


class Responder:
    """Answers requests. A request's data may hold:

    ``delay`` (seconds), ``status``, ``error``, ``retryable``, ``size`` (bytes of padding in the result), ``ignore`` (no answer),
    ``interrupts``. Everything comes back in the result under ``echo``.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.requests: list[WorkflowEvent] = []
        self.answered = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="responder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the responder did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the responder did not stop"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold all answers back inside the block."""
        self._loop.call_soon_threadsafe(self._go.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._go.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        # A message that waits behind thousands of others is given up by the client before it was ever sent.
        self._sending = asyncio.Semaphore(500)
        self._go = asyncio.Event()
        self._go.set()
        topic = self.settings.workflow_events_topic
        producer = await aio.start_producer(self.settings)
        consumer = await aio.start_consumer(self.settings, topic)
        try:
            consumer.unsubscribe()
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            await consumer.seek_to_end(*partitions)
            for partition in partitions:
                await consumer.position(partition)
            self._ready.set()
            async with asyncio.TaskGroup() as answers:
                async for record in consumer:
                    event = decode_event(record.value)
                    self.requests.append(event)
                    address = return_address_in(record.headers)
                    reply_topic = address.topic if address else self.settings.workflow_results_topic
                    answers.create_task(self._answer(producer, event, reply_topic))
        finally:
            await consumer.stop()
            await producer.stop()

    async def _answer(self, producer: aio.Producer, event: WorkflowEvent, topic: str) -> None:
        data: dict[str, Any] = event.payload.data
        await asyncio.sleep(data.get("delay", 0))
        await self._go.wait()
        if data.get("ignore"):
            return
        async with self._sending:
            await aio.send(producer, result_message(answer_to(event), topic=topic))
        self.answered += 1


def answer_to(event: WorkflowEvent) -> WorkflowResultEvent:
    """The result that a request asks for."""
    data: dict[str, Any] = event.payload.data
    error = data.get("error")
    return WorkflowResultEvent(
        correlation_id=event.event_id,
        workflow_id=event.workflow_id,
        workflow_run_id=event.workflow_run_id,
        result={"echo": data, **({"padding": "x" * data["size"]} if "size" in data else {})},
        status=ResultStatus(data.get("status", "success")),
        error=error,
        error_detail=ErrorDetail(type="tests.RemoteError", message=error, retryable=data.get("retryable"))
        if error
        else None,
        interrupts=data.get("interrupts"),
        attempt=event.attempt,
    )
