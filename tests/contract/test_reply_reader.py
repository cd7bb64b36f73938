"""The shared reader: one consumer, one scan, and what becomes of them when the log or the broker does not hold still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.places import place_of
from workflow_events import KafkaSettings, PendingRequest, ResultTimeoutError, WorkflowResultEvent, wire
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.transport import aio, blocking

Publish = Callable[[KafkaSettings, list[WorkflowResultEvent]], Awaitable[None]]


def result(correlation_id: UUID, **fields: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        **{"correlation_id": correlation_id, "workflow_id": "w", "workflow_run_id": "r", "result": {"n": 1}, **fields}
    )


def pending(
    settings: KafkaSettings, correlation_id: UUID, cursor: dict[int, int] | None = None, timeout: float = 30
) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="w",
        workflow_run_id="r",
        reply_topic=settings.workflow_results_topic,
        reply_cursor=cursor or {},
        deadline=datetime.now(tz=UTC) + timedelta(seconds=timeout),
    )


async def test_all_leases_of_a_loop_and_topic_share_one_reader_that_ends_with_the_last(
    kafka_settings: KafkaSettings,
) -> None:
    topic = kafka_settings.workflow_results_topic
    async with ReplyReader.lease(kafka_settings, topic) as one:
        async with ReplyReader.lease(kafka_settings.model_copy(), topic) as two:
            assert one is two
        async with ReplyReader.lease(kafka_settings, topic) as again:
            assert again is one
    async with ReplyReader.lease(kafka_settings, topic) as three:
        assert three is not one


async def test_a_lingering_reader_is_found_warm_by_the_next_lease(kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.workflow_results_topic
    async with ReplyReader.lease(kafka_settings, topic, linger=60) as one:
        await one.ready(20)
    async with ReplyReader.lease(kafka_settings, topic) as two:
        assert one is two
        assert two.cursor()


def test_a_reader_dies_with_its_event_loop(kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.workflow_results_topic

    async def lease() -> ReplyReader:
        async with ReplyReader.lease(kafka_settings, topic, linger=60) as reader:
            await reader.ready(20)
            return reader

    assert asyncio.run(lease()) is not asyncio.run(lease())


async def test_many_who_are_far_behind_are_served_by_few_scans(kafka_settings: KafkaSettings, publish: Publish) -> None:
    # Given 300 results among 3,000 strangers, all before the reader's time
    ids = [uuid4() for _ in range(300)]
    every = [result(uuid4()) for _ in range(3000)]
    every[::10] = [result(correlation_id) for correlation_id in ids]
    await publish(kafka_settings, every)
    # When all wait at once, each from the start of the log
    async with ReplyReader.lease(kafka_settings, kafka_settings.workflow_results_topic) as reader:
        replies = await asyncio.gather(
            *(reader.wait(pending(kafka_settings, correlation_id)) for correlation_id in ids)
        )
        # Then each has its own, and the log was read for all together
        assert [reply.event.correlation_id for reply in replies] == ids
        assert reader.scans <= 2


async def test_who_is_a_little_behind_is_served_from_memory(kafka_settings: KafkaSettings, publish: Publish) -> None:
    async with ReplyReader.lease(kafka_settings, kafka_settings.workflow_results_topic) as reader:
        await reader.ready(20)
        cursor = reader.cursor()
        ids = [uuid4() for _ in range(20)]
        await publish(kafka_settings, [result(correlation_id) for correlation_id in ids])
        await reader.wait(pending(kafka_settings, ids[0], cursor))
        await reader.wait(pending(kafka_settings, ids[-1], cursor))
        for correlation_id in ids:
            assert (await reader.wait(pending(kafka_settings, correlation_id, cursor))).event.result == {"n": 1}
        assert reader.scans == 0


async def test_a_bare_message_of_a_foreign_client_is_found_and_rubbish_stops_nobody(
    kafka_settings: KafkaSettings,
) -> None:
    mine = uuid4()
    topic = kafka_settings.workflow_results_topic
    async with ReplyReader.lease(kafka_settings, topic) as reader:
        await reader.ready(20)
        producer = await aio.start_producer(kafka_settings)
        try:
            for value in (b"", b"\xff\xfe", b"{", b"[1, 2", b'{"correlation_id": 7}', b"null"):
                await producer.send_and_wait(topic, value)
            await producer.send_and_wait(topic, b"{", headers=[("correlation-id", str(mine).encode())])
            bare = result(mine).model_dump_json(include={*WorkflowResultEvent.model_fields} - {"attempt"}).encode()
            await producer.send_and_wait(topic, bare, key=b"whatever")
        finally:
            await producer.stop()
        reply = await reader.wait(pending(kafka_settings, mine))
    assert reply.event.correlation_id == mine


async def test_a_partition_that_is_added_while_somebody_waits_is_read_from_its_start(
    apache_settings: KafkaSettings,
) -> None:
    mine, topic = uuid4(), apache_settings.workflow_results_topic
    async with ReplyReader.lease(apache_settings, topic) as reader:
        # Given a waiter
        await reader.ready(20)
        before = len(reader.cursor())
        waiting = asyncio.create_task(reader.wait(pending(apache_settings, mine, reader.cursor(), timeout=60)))
        # When the topic grows and the answer goes to the new partition
        admin = blocking.new_admin(apache_settings)
        try:
            admin.create_partitions({topic: before + 1})
        finally:
            admin.close()
        producer = await aio.start_producer(apache_settings)
        try:
            message = wire.result_message(result(mine), topic=topic, partition=before)
            await aio.send(producer, message)
        finally:
            await producer.stop()
        # Then it is found there
        reply = await waiting
        assert place_of(reply).partition == before
        assert len(reader.cursor()) == before + 1


async def test_aborted_results_reach_nobody_and_a_log_that_ends_in_markers_is_read_to_its_end(
    apache_settings: KafkaSettings,
) -> None:
    # Given a result that was taken back and one that was committed, each in its transaction
    aborted, committed, topic = uuid4(), uuid4(), apache_settings.workflow_results_topic
    producer = aio.Producer(apache_settings, transactional_id=f"t-{uuid4()}")
    await producer.start()
    try:
        for correlation_id, keep in ((aborted, False), (committed, True), (uuid4(), False)):
            await producer.begin_transaction()
            message = wire.result_message(result(correlation_id), topic=topic, partition=0)
            await producer.send_and_wait(topic, message.value, headers=message.headers, partition=0)
            await (producer.commit_transaction() if keep else producer.abort_transaction())
    finally:
        await producer.stop()
    async with ReplyReader.lease(apache_settings, topic) as reader:
        # Then only the committed one is delivered
        assert (await reader.wait(pending(apache_settings, committed))).event.correlation_id == committed
        # And who looks for the other, late, is told as soon as the log has been read
        late = pending(apache_settings, aborted, timeout=-1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ResultTimeoutError):
            await reader.wait(late)
        assert asyncio.get_running_loop().time() - began < 9, "the scan did not notice that it had read everything"


async def test_a_cursor_from_before_the_topic_was_made_anew_still_finds_the_result(
    kafka_settings: KafkaSettings, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a cursor far beyond the log's end
    mine = uuid4()
    await publish(kafka_settings, [result(mine)])
    cursor = dict.fromkeys(range(3), 1_000_000)
    # When somebody waits from there, after a reader with an older topic's positions
    async with ReplyReader.lease(kafka_settings, kafka_settings.workflow_results_topic) as reader:
        reply = await reader.wait(pending(kafka_settings, mine, cursor))
    # Then the result is found and the oddity is said
    assert reply.event.correlation_id == mine
    assert "made anew" in caplog.text


async def test_waiters_do_not_notice_a_broker_that_dies_and_comes_back(publish: Publish) -> None:
    # Given a waiter on a broker of its own
    mine = uuid4()
    with ApacheKafka() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
            await reader.ready(20)
            waiting = asyncio.create_task(reader.wait(pending(settings, mine, reader.cursor(), timeout=100)))
            # When the broker is killed and started again, and only then the answer comes
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.restart)
            await publish(settings, [result(mine)])
            # Then the waiter has it
            assert (await waiting).event.correlation_id == mine


async def test_a_waiter_ends_at_its_deadline_with_the_broker_gone_and_says_so() -> None:
    with ApacheKafka() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
            await reader.ready(20)
            waiting = pending(settings, uuid4(), reader.cursor(), timeout=12)
            await asyncio.to_thread(broker.kill)
            with pytest.raises(ResultTimeoutError) as caught:
                await reader.wait(waiting)
            assert -5 < waiting.remaining() <= 0
    assert "can reach the broker" in str(caught.value)
    assert "answered for" in str(caught.value)
