"""Answers in one partition, chosen by the request's id."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from workflow_events import (
    AsyncWorkflowClient,
    KafkaSettings,
    PendingRequest,
    WorkflowClient,
    WorkflowEvent,
    WorkflowResultEvent,
    wire,
)
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.transport import aio


async def answered(settings: KafkaSettings, pending: list[PendingRequest]) -> None:
    """Answer as our worker does: at the whole return address."""
    consumer = await aio.start_consumer(settings, settings.workflow_events_topic)
    producer = await aio.start_producer(settings)
    wanted = {request.correlation_id for request in pending}
    try:
        while wanted:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event, address = wire.decode_event(record.value), wire.return_address_in(record.headers)
                    assert address is not None
                    await aio.send(
                        producer, wire.result_message(_echo(event), topic=address.topic, partition=address.partition)
                    )
                    wanted.discard(event.event_id)
    finally:
        await consumer.stop()
        await producer.stop()


def _echo(event: WorkflowEvent) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        correlation_id=event.event_id,
        workflow_id=event.workflow_id,
        workflow_run_id=event.workflow_run_id,
        result=event.payload.data,
    )


def test_a_synchronous_waiter_reads_only_the_partition_of_its_answer(kafka_settings: KafkaSettings) -> None:
    # Given 60 requests which ask for their answers by partition, answered
    with WorkflowClient(kafka_settings, reply_partition="by_correlation_id") as client:
        pending = [client.submit("w", {"n": n}, timeout=60) for n in range(60)]
        asyncio.run(answered(kafka_settings, pending))
        # Then each finds its own
        assert [client.wait(request).result for request in pending] == [{"n": n} for n in range(60)]
    # And the answers are spread
    spread = {request.reply_partition: request for request in pending}
    assert len(spread) == 3
    # And who reads for one of them looks at the records of its partition alone
    for partition, request in spread.items():
        topic = kafka_settings.workflow_results_topic
        with closing(SyncReplyReader(kafka_settings, topic, partition=partition)) as reader:
            reader.wait(request)
            mine = sum(other.reply_partition == partition for other in pending)
            assert reader.counts.seen <= mine < 60


@pytest.mark.parametrize("late", [False, True], ids=["waiting before", "waiting after"])
async def test_an_asynchronous_waiter_finds_it_there_without_reading_the_others_past(
    kafka_settings: KafkaSettings, *, late: bool
) -> None:
    async with AsyncWorkflowClient(kafka_settings, reply_partition="by_correlation_id") as client:
        pending = [await client.submit("w", {"n": n}, timeout=60) for n in range(12)]
        answering = asyncio.create_task(answered(kafka_settings, pending))
        if late:
            await answering
        results = await asyncio.gather(*(client.wait(request) for request in pending))
        await answering
    assert [result.result for result in results] == [{"n": n} for n in range(12)]
