"""The ways to wait for a reply that :mod:`benchmarks.alternatives` compares, as they run in the waiting process."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger
from airflow.sdk.exceptions import AirflowException
from confluent_kafka import KafkaException

from airflow_integration import WorkflowResultTrigger
from airflow_integration.handover import take_over
from benchmarks.alternatives_process import Job, Outcome
from workflow_events import PendingRequest
from workflow_events.replies import (
    async_reader,  # noqa: F401 - what our trigger imports when it first runs
    topic_log,
)
from workflow_events.requests import prepare_request
from workflow_events.transport import aio
from workflow_events.wire import HEADER_CORRELATION_ID, correlation_key, decode_result

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord
    from confluent_kafka import Message

__all__ = ["do", "reply_to"]

Way = Callable[[Job, int, PendingRequest], AsyncGenerator[UUID | None]]
"""Yields the id in the reply that the waiter of that number got, once; or None, if it is sure never to get it."""

_TIMEOUT = 600.0
_POLL_MS = 200
_FETCH_MAX_WAIT_MS = 100
"""As long as our reader has the broker hold an empty fetch; aiokafka's own 500 ms would only slow the others down."""


async def do(contestant: str, job: Job, wait_for_start: Callable[[], None]) -> Outcome:
    """Do a job once. Sockets and threads are for others to count."""
    wait = _WAYS[contestant]
    os.environ |= _connections(job)
    producer = await aio.start_producer(job.settings)
    async with topic_log.open_log(job.settings, job.settings.workflow_results_topic) as log:
        wait_for_start()
        began = time.perf_counter()
        pending = await _ask(job, producer, log)
        had: list[float] = []
        lost: list[float] = []
        all_over = asyncio.Event()

        async def waiter(number: int, request: PendingRequest) -> None:
            async with aclosing(wait(job, number, request)) as replies:
                try:
                    reply = await anext(replies)
                except (AirflowException, KafkaException) as error:
                    # The provider's trigger gives up where a poll or a commit fails, and with it the task.
                    print(f"{contestant}, waiter {number}: {error}", file=sys.stderr)
                    reply = None
                assert reply in {request.correlation_id, None}, "a waiter got somebody else's reply"
                (lost if reply is None else had).append(time.perf_counter())
                if len(had) + len(lost) == job.waiters:
                    all_over.set()

        over = asyncio.create_task(all_over.wait())
        # What a waiter does after its reply, such as closing its consumer, takes the others' time but is not waited for.
        waiters = asyncio.gather(*(waiter(number, request) for number, request in enumerate(pending)))
        until_limit = job.limit - (time.perf_counter() - began)
        both: set[asyncio.Future[Any]] = {over, waiters}
        await asyncio.wait(both, timeout=until_limit, return_when=asyncio.FIRST_COMPLETED)
        if waiters.done():
            waiters.result()
        stopped = not all_over.is_set()
        await producer.stop()
        return Outcome(job.limit if stopped else max(had + lost) - began, len(had), stopped)


async def _ask(job: Job, producer: aio.Producer, log: AIOKafkaConsumer) -> list[PendingRequest]:
    """Take the reply cursor and publish all requests; everybody's are the same, whether or not they use the cursor."""
    topic = job.settings.workflow_results_topic
    cursor = await topic_log.end(log, topic, topic_log.partitions(log, topic))
    shares = [job.strangers * (number + 1) // job.waiters for number in range(job.waiters)]
    prepared = [
        prepare_request(
            job.settings,
            "bench",
            {"text": "x" * 300, "strangers": share - before},
            cursor=cursor,
            timeout=_TIMEOUT,
            source="airflow",
        )
        for before, share in itertools.pairwise([0, *shares])
    ]
    await asyncio.gather(*(aio.send(producer, request.message) for request in prepared))
    return [request.pending for request in prepared]


async def _ours(_: Job, __: int, pending: PendingRequest) -> AsyncGenerator[UUID | None]:
    """Our trigger, as the triggerer makes it from Airflow's database."""
    trigger = WorkflowResultTrigger(pending.to_json(), "ours")
    async for event in trigger.run():
        yield take_over(event.payload, _not_asked_for).correlation_id


def _not_asked_for(position: object, _: PendingRequest) -> NoReturn:
    raise AssertionError(f"the result was to be in the event, not at {position}")


def _await_message(conn_id: str, **options: Any) -> Way:
    """The Kafka provider's trigger, run and cleaned up as the triggerer does."""

    async def wait(job: Job, number: int, pending: PendingRequest) -> AsyncGenerator[UUID | None]:
        trigger = AwaitMessageTrigger(
            topics=[job.settings.workflow_results_topic],
            apply_function=f"{__name__}.{reply_to.__name__}",
            apply_function_kwargs={"correlation_id": str(pending.correlation_id)},
            kafka_config_id=conn_id.format(number),
            **options,
        )
        try:
            async for event in trigger.run():  # type: ignore[no-untyped-call]  # Airflow's providers are untyped
                yield decode_result(event.payload.encode()).correlation_id
        finally:
            await trigger.cleanup()

    return wait


def reply_to(message: Message, correlation_id: str) -> str | None:
    """The apply function: the message's value, if its header says that it is the reply. Strangers are not decoded."""
    value = message.value()
    mine = (HEADER_CORRELATION_ID, correlation_id.encode()) in (message.headers() or ())
    return value.decode() if mine and value is not None else None


async def _at_latest(job: Job, _: int, pending: PendingRequest) -> AsyncGenerator[UUID | None]:
    """A consumer opened at the end of the topic, after sending: what is there already is not seen."""
    topic = job.settings.workflow_results_topic
    async with _consumer(job, topic, auto_offset_reset="latest") as consumer:
        while True:
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            found = _find(batches, pending)
            if found is not None or (not batches and await _has_read_all(consumer, job)):
                yield found
                return


async def _from_cursor(job: Job, _: int, pending: PendingRequest) -> AsyncGenerator[UUID | None]:
    """A consumer that begins at the request's cursor."""
    async with _consumer(job) as consumer:
        topic_log.assign_at(consumer, pending.reply_topic, pending.reply_cursor)
        while True:
            found = _find(await consumer.getmany(timeout_ms=_POLL_MS), pending)
            if found is not None:
                yield found
                return


@asynccontextmanager
async def _consumer(job: Job, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=job.settings.bootstrap_servers, fetch_max_wait_ms=_FETCH_MAX_WAIT_MS, **options
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _find(batches: dict[TopicPartition, list[ConsumerRecord]], pending: PendingRequest) -> UUID | None:
    wanted = (HEADER_CORRELATION_ID, correlation_key(pending.correlation_id))
    for record in (record for batch in batches.values() for record in batch):
        if wanted in record.headers:
            return decode_result(record.value).correlation_id
    return None


async def _has_read_all(consumer: AIOKafkaConsumer, job: Job) -> bool:
    """Whether this consumer stands behind all replies and strangers of the job: then its own reply is lost to it.

    Told by the positions alone: the embedded broker's end offsets lie before the end.
    """
    positions: list[int] = [await consumer.position(partition) for partition in consumer.assignment()]
    return sum(positions) >= job.waiters + job.strangers


def _connections(job: Job) -> dict[str, str]:
    """Airflow's connections, as environment variables."""
    ours = {"conn_type": "workflow_events", "host": job.settings.bootstrap_servers}
    group = {
        "bootstrap.servers": job.settings.bootstrap_servers,
        "group.id": f"all-{job.settings.workflow_results_topic}",
    }
    connections = {"OURS": ours, "ONE_FOR_ALL": {"conn_type": "kafka", "extra": group}}
    for number in range(job.waiters):
        own = group | {"group.id": f"{number}-{job.settings.workflow_results_topic}"}
        extra = {**own, "auto.offset.reset": "earliest", **job.group_options}
        connections[f"OF_{number}"] = {"conn_type": "kafka", "extra": extra}
    return {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}


_WAYS: dict[str, Way] = {
    "ours": _ours,
    "AwaitMessageTrigger, as shipped": _await_message("one_for_all"),
    "AwaitMessageTrigger, a group each": _await_message("of_{}"),
    "AwaitMessageTrigger, tuned": _await_message("of_{}", poll_interval=0, commit_offset=False),
    "a consumer each, at latest": _at_latest,
    "a consumer each, from the cursor": _from_cursor,
}
