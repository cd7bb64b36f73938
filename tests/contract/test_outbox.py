"""Messages that are posted in one turn of the event loop travel together, on every broker."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner

from tests.integration.worker.observing import records
from workflow_events import (
    BrokerUnavailableError,
    DeliveryError,
    KafkaSettings,
    MessageTooLargeError,
    TopicNotFoundError,
    WorkflowEventsError,
)
from workflow_events.payloads import Payloads
from workflow_events.replies import topic_log
from workflow_events.requests import prepare_request
from workflow_events.signing import REQUEST_TYPES, Signatures
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import aio
from workflow_events.transport.outbox import Outbox
from workflow_events.wire import OutgoingMessage, decode_event


@pytest.fixture
async def producer(kafka_settings: KafkaSettings) -> AsyncIterator[aio.Producer]:
    producer = await aio.start_producer(kafka_settings)
    yield producer
    await producer.stop()


class Told:
    """What the outbox said of its failures."""

    def __init__(self) -> None:
        self.errors: list[WorkflowEventsError] = []

    def __call__(self, error: WorkflowEventsError) -> None:
        self.errors.append(error)


async def stored(settings: KafkaSettings, count: int) -> dict[int, list[bytes]]:
    """What lies on the requests' topic by partition, as soon as it is ``count`` messages."""
    topic = settings.workflow_events_topic
    values: dict[int, list[bytes]] = defaultdict(list)
    consumer: AIOKafkaConsumer
    async with asyncio.timeout(30), topic_log.open_log(settings, topic) as consumer:
        topic_log.assign_at(consumer, topic, dict.fromkeys(topic_log.partitions(consumer, topic), 0))
        while sum(map(len, values.values())) < count:
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                values[tp.partition] += [record.value for record in records]
    return values


async def test_what_is_posted_at_once_is_stored_once_in_order_where_aiokafka_would_store_it(
    producer: aio.Producer, kafka_settings: KafkaSettings
) -> None:
    # Given a thousand messages of ten keys, and some that name their partition: more than one batch holds
    topic = kafka_settings.workflow_events_topic
    partitions = sorted(producer.client.cluster.partitions_for_topic(topic) or range(kafka_settings.topic_partitions))
    wanted: dict[int, list[bytes]] = defaultdict(list)
    messages = []
    for n in range(1000):
        value = str(n).encode() + b" " * 300
        partition = n % len(partitions) if n % 7 == 0 else None
        key = f"key {n % 10}".encode()
        messages.append(OutgoingMessage(topic, value, key=key, partition=partition))
        wanted[DefaultPartitioner()(key, partitions, partitions) if partition is None else partition].append(value)
    # When they are posted at once
    outbox, told = Outbox(producer), Told()
    posted = [await outbox.post(message, told, 10) for message in messages]
    # Then each is stored once, in order and in its place, and is known to be
    assert await stored(kafka_settings, 1000) == wanted
    await asyncio.to_thread(wait_until, lambda: all(one.confirmed for one in posted), 20)
    assert not told.errors
    assert all(one.message is None for one in posted), "keeps messages that have been sent"
    await outbox.aclose()


async def test_what_is_flushed_is_stored_although_nothing_more_is_sent(
    producer: aio.Producer, kafka_settings: KafkaSettings
) -> None:
    # Given more than a batch holds, posted and not yet sent
    topic = kafka_settings.workflow_events_topic
    outbox, told = Outbox(producer), Told()
    values = [str(n).encode() + b" " * 300 for n in range(200)]
    for value in values:
        await outbox.post(OutgoingMessage(topic, value, key=b"one"), told, 10)
    assert len(outbox) == 200
    # When it is flushed, and then closed
    await outbox.flush()
    assert len(outbox) == 0
    await outbox.aclose()
    await producer.flush()
    # Then all of it is stored
    assert list((await stored(kafka_settings, 200)).values()) == [values]


async def test_what_is_withdrawn_in_time_is_not_sent(producer: aio.Producer, kafka_settings: KafkaSettings) -> None:
    outbox, told = Outbox(producer), Told()
    topic = kafka_settings.workflow_events_topic
    posted = [await outbox.post(OutgoingMessage(topic, value, key=b"one"), told, 10) for value in (b"a", b"b", b"c")]
    posted[0].withdraw()
    posted[1].withdraw()
    await outbox.post(OutgoingMessage(topic, b"d", key=b"one"), told, 10)
    assert list((await stored(kafka_settings, 2)).values()) == [[b"c", b"d"]]
    assert not told.errors
    await outbox.aclose()


async def test_what_is_posted_is_signed_and_large_payloads_are_put_away(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given keys and a store
    settings = kafka_settings.replace(
        signing_keys=f"k:{base64.b64encode(b'k' * 32).decode()}", claim_check_store=str(tmp_path)
    )
    signatures = Signatures.of(settings)
    assert signatures is not None
    text = "x" * settings.max_message_bytes
    # When more is asked than a message may hold
    message, pending, _ = prepare_request(settings, "w", {"text": text}, cursor={}, timeout=60, source="airflow")
    producer = await aio.start_producer(settings)
    outbox, told = Outbox(producer), Told()
    await outbox.post(message, told, 10)
    # Then what is stored refers to it, and is signed so
    ((value,),) = (await stored(settings, 1)).values()
    event = decode_event(value)
    assert event.event_id == pending.correlation_id
    assert event.claim_check is not None
    assert (await Payloads(settings).atake(event)).payload.data == {"text": text}
    (record,) = await records(settings, settings.workflow_events_topic)
    assert signatures.admits(record, REQUEST_TYPES)
    assert not told.errors
    await outbox.aclose()
    await producer.stop()


async def test_what_cannot_be_sent_is_refused_at_once(producer: aio.Producer, kafka_settings: KafkaSettings) -> None:
    outbox, told = Outbox(producer), Told()
    topic = kafka_settings.workflow_events_topic
    limit = kafka_settings.max_message_bytes
    with pytest.raises(MessageTooLargeError, match="KAFKA_MAX_MESSAGE_BYTES"):
        await outbox.post(OutgoingMessage(topic, b"x" * limit, key=b"one"), told, 10)
    with pytest.raises(MessageTooLargeError):
        await outbox.post(OutgoingMessage(topic, b"x" * (limit // 2 + 1), headers=[("a", b"x" * limit)]), told, 10)
    with pytest.raises(TopicNotFoundError, match="no partition 99"):
        await outbox.post(OutgoingMessage(topic, b"x", partition=99), told, 10)
    with pytest.raises(TopicNotFoundError, match="nobody-made-this"):
        await outbox.post(OutgoingMessage("nobody-made-this", b"x", key=b"one"), told, 0.5)
    assert not told.errors


async def test_what_nobody_confirms_is_told_once_to_each() -> None:
    # Given a broker that dies
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers).replace(request_timeout=1)
        topic = settings.workflow_events_topic
        producer = await aio.start_producer(settings)
        outbox, told = Outbox(producer), [Told() for _ in range(200)]
        await outbox.post(OutgoingMessage(topic, b"x", key=b"one"), told[0], 10)
        broker.kill()
        # When more is posted than one batch holds
        for one in told[1:]:
            await outbox.post(OutgoingMessage(topic, b"x" * 1000, key=b"one"), one, 10)
        # Then everybody but, perhaps, the first is told
        await asyncio.to_thread(wait_until, lambda: all(one.errors for one in told[1:]), 60)
        assert {len(one.errors) for one in told[1:]} == {1}
        lost = {type(error) for one in told for error in one.errors}
        assert lost <= {BrokerUnavailableError, DeliveryError}
        await outbox.aclose()
        await producer.stop()
