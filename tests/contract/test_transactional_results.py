"""Waiters on a topic that is written in transactions: on Apache Kafka, for the embedded broker has none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition

from tests.places import place_of
from workflow_events import KafkaSettings, PendingRequest, ResultTimeoutError, WorkflowResultEvent, wire
from workflow_events.identifiers import new_event_id
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.read_back import read_back
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.transport import aio
from workflow_events.transport.transactions import TransactionAbortedError, start_transactional_producer

LATE_LOOK = 8.0  # seconds: less than a reader gives up after that does not find the end


def result(correlation_id: UUID, **fields: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        **{"correlation_id": correlation_id, "workflow_id": "w", "workflow_run_id": "r", "result": {"n": 1}, **fields}
    )


def pending(settings: KafkaSettings, correlation_id: UUID, timeout: float = 30) -> PendingRequest:
    """A request whose cursor is the start of the log."""
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="w",
        workflow_run_id="r",
        reply_topic=settings.workflow_results_topic,
        reply_cursor={},
        deadline=datetime.now(tz=UTC) + timedelta(seconds=timeout),
    )


async def publish(settings: KafkaSettings, *results: WorkflowResultEvent, commit: bool = True) -> None:
    """One transaction, committed or aborted: either ends with a marker in every partition that it wrote to."""
    name = f"test-{uuid4()}"
    producer = await start_transactional_producer(settings, name, transaction_timeout=30, patience=20)
    messages = [wire.result_message(one, topic=settings.workflow_results_topic) for one in results]
    try:
        await producer.transact(messages, {}, None, may_commit=lambda: commit, patience=20)
    except TransactionAbortedError:
        assert not commit
        await producer.abandon()
        producer = await start_transactional_producer(settings, name, transaction_timeout=30, patience=20)
    else:
        assert commit
    await producer.stop()


async def ends(settings: KafkaSettings) -> dict[int, int]:
    """Where the log ends, markers counted in, as soon as nothing in it is undecided."""
    consumer = await aio.start_consumer(settings, isolation_level="read_uncommitted")
    committed = await aio.start_consumer(settings)
    try:
        partitions = range(settings.topic_partitions)
        asked = [TopicPartition(settings.workflow_results_topic, number) for number in partitions]
        while (end := await consumer.end_offsets(asked)) != await committed.end_offsets(asked):
            pass  # its marker is written a moment after a transaction is confirmed
        return {tp.partition: offset for tp, offset in end.items()}
    finally:
        await consumer.stop()
        await committed.stop()


async def test_a_scan_of_the_past_ends_where_the_last_record_is_a_transactions_marker(
    apache_settings: KafkaSettings,
) -> None:
    # Given results in transactions, and nothing after their markers
    ids = [uuid4() for _ in range(20)]
    for correlation_id in ids:
        await publish(apache_settings, result(correlation_id))
    end = await ends(apache_settings)
    assert sum(end.values()) == 2 * len(ids)
    async with ReplyReader.lease(apache_settings, apache_settings.workflow_results_topic) as reader:
        await reader.ready(20)
        # When many wait from the start of the log
        replies = await asyncio.gather(*(reader.wait(pending(apache_settings, one)) for one in ids))
        # Then each has its own
        assert [reply.event.correlation_id for reply in replies] == ids
        # And who comes late, for what is not there, is told so once the end is reached
        with pytest.raises(ResultTimeoutError) as told:
            async with asyncio.timeout(LATE_LOOK):
                await reader.wait(pending(apache_settings, uuid4(), timeout=-1))
        assert told.value.read_to == end


async def test_a_waiting_thread_reaches_an_end_that_is_a_transactions_marker(apache_settings: KafkaSettings) -> None:
    # Given results in transactions, and nothing after their markers
    ids = [uuid4() for _ in range(5)]
    for correlation_id in ids:
        await publish(apache_settings, result(correlation_id))
    end = await ends(apache_settings)
    reader = SyncReplyReader(apache_settings, apache_settings.workflow_results_topic)
    try:
        # When a thread waits from the start of the log, then it has its own
        for one in ids:
            reply = await asyncio.to_thread(reader.wait, pending(apache_settings, one))
            assert reply.event.correlation_id == one
        # And who comes late, for what is not there, is told so once the end is reached
        with pytest.raises(ResultTimeoutError):
            await asyncio.wait_for(
                asyncio.to_thread(reader.wait, pending(apache_settings, uuid4(), timeout=-1)), LATE_LOOK
            )
        # And a cursor that is taken now lies at the markers' end, where it serves who waits next
        assert await asyncio.to_thread(reader.end_cursor) == end
        late = uuid4()
        waiting = asyncio.create_task(
            asyncio.to_thread(reader.wait, pending(apache_settings, late).model_copy(update={"reply_cursor": end}))
        )
        await publish(apache_settings, result(late))
        assert (await waiting).event.correlation_id == late
    finally:
        await asyncio.to_thread(reader.close)


async def test_the_result_of_an_aborted_transaction_reaches_no_waiter(apache_settings: KafkaSettings) -> None:
    # Given waiters of both kinds for one request
    asked = new_event_id()
    topic = apache_settings.workflow_results_topic
    sync_reader = SyncReplyReader(apache_settings, topic)
    async with ReplyReader.lease(apache_settings, topic) as reader:
        await reader.ready(20)
        threaded = asyncio.create_task(asyncio.to_thread(sync_reader.wait, pending(apache_settings, asked)))
        follower = asyncio.create_task(reader.wait(pending(apache_settings, asked)))
        # When its result is published in a transaction that is aborted, and then in one that is not
        await publish(apache_settings, result(asked, result={"n": "aborted"}), commit=False)
        await publish(apache_settings, result(asked, result={"n": "committed"}))
        # Then both have the second, and so has who reads the past
        found = [*await asyncio.gather(threaded, follower), await reader.wait(pending(apache_settings, asked))]
        assert [reply.event.result for reply in found] == [{"n": "committed"}] * 3
    await asyncio.to_thread(sync_reader.close)
    # And it can be read back from its place behind the aborted one
    position = place_of(found[0])
    assert position.offset >= 2
    read = await asyncio.to_thread(read_back, apache_settings, {position: asked})
    assert read[position].event.result == {"n": "committed"}
