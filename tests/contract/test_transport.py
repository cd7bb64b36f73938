"""aiokafka's clients as the transport makes them, on every broker. kafka-python's are tested with the producer and topics."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from workflow_events.errors import DeliveryError, MessageTooLargeError, TopicNotFoundError, TransportError
from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage


@pytest.fixture
async def producer(kafka_settings: KafkaSettings) -> AsyncIterator[aio.Producer]:
    producer = await aio.start_producer(kafka_settings)
    yield producer
    await producer.stop()


async def test_a_message_is_confirmed_with_its_place_and_read_back(
    kafka_settings: KafkaSettings, producer: aio.Producer
) -> None:
    message = OutgoingMessage(kafka_settings.workflow_results_topic, b"value", b"key", [("name", b"text")], partition=2)

    place = await aio.send(producer, message)

    assert (place.topic, place.partition, place.offset) == (message.topic, 2, 0)
    record = await first_record(kafka_settings, message.topic, 2)
    assert (record.value, record.key, record.headers) == (b"value", b"key", (("name", b"text"),))


@pytest.mark.kafka_brokers("apache")
async def test_it_is_idempotent_where_the_broker_can(producer: aio.Producer) -> None:
    assert producer._txn_manager is not None
    assert producer._txn_manager.producer_id >= 0


async def test_it_falls_back_in_silence_where_the_broker_cannot(
    embedded_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun = time.monotonic()

    producer = await aio.start_producer(embedded_settings)
    await aio.send(producer, OutgoingMessage(embedded_settings.workflow_results_topic, b"value"))
    await producer.stop()

    assert time.monotonic() - begun < 12
    assert producer._txn_manager is None
    assert "no idempotent producer" in caplog.text
    loud = [record for record in caplog.records if record.levelno > logging.INFO and record.name != "asyncio"]
    assert not loud


@pytest.mark.parametrize("timeout", [1.0, None])
async def test_an_unknown_topic_is_an_error_in_words_and_is_not_made(
    producer: aio.Producer, timeout: float | None
) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"
    begun = time.monotonic()

    with pytest.raises(TopicNotFoundError, match="workflow-events topics create"):
        await aio.send(producer, OutgoingMessage(topic, b"value"), timeout)

    assert time.monotonic() - begun < (timeout or 5.0) + 10
    assert topic not in (await producer.client.fetch_all_metadata()).topics()


async def test_stopping_ends_a_wait_for_an_unknown_topic(kafka_settings: KafkaSettings) -> None:
    producer = await aio.start_producer(kafka_settings)
    sending = asyncio.create_task(aio.send(producer, OutgoingMessage(f"nowhere-{uuid.uuid4().hex[:8]}", b"value")))
    while not producer.look_ups:  # noqa: ASYNC110 - nothing else tells that the wait has begun
        await asyncio.sleep(0)

    await producer.stop()

    with pytest.raises(TransportError, match="ProducerClosed"):
        await asyncio.wait_for(sending, 1)


async def test_a_partition_that_the_topic_lacks_is_refused(
    kafka_settings: KafkaSettings, producer: aio.Producer
) -> None:
    with pytest.raises(TopicNotFoundError, match="no partition 99"):
        await aio.send(producer, OutgoingMessage(kafka_settings.workflow_results_topic, b"value", partition=99))


async def test_too_large_a_message_is_refused(kafka_settings: KafkaSettings, producer: aio.Producer) -> None:
    with pytest.raises(MessageTooLargeError, match="KAFKA_MAX_MESSAGE_BYTES"):
        await aio.send(producer, OutgoingMessage(kafka_settings.workflow_results_topic, b"x" * 2_000_000))

    await aio.send(producer, OutgoingMessage(kafka_settings.workflow_results_topic, b"small"))


async def test_a_reader_without_a_group_reads_from_where_it_is_put(
    kafka_settings: KafkaSettings, producer: aio.Producer
) -> None:
    topic = kafka_settings.workflow_results_topic
    for value in (b"0", b"1", b"2"):
        await aio.send(producer, OutgoingMessage(topic, value, partition=0))
    consumer = await aio.start_consumer(kafka_settings)
    partition = TopicPartition(topic, 0)

    consumer.assign([partition])
    consumer.seek(partition, 1)
    values = [(await consumer.getone()).value for _ in range(2)]

    await consumer.stop()
    assert values == [b"1", b"2"]


async def test_a_member_of_a_group_reads_from_the_start_and_commits_nothing_by_itself(
    kafka_settings: KafkaSettings, producer: aio.Producer
) -> None:
    topic, group = kafka_settings.workflow_events_topic, f"group-{uuid.uuid4().hex[:8]}"
    await aio.send(producer, OutgoingMessage(topic, b"before", partition=0))

    consumer = await aio.start_consumer(kafka_settings, topic, group_id=group)
    record = await asyncio.wait_for(consumer.getone(), 30)
    committed = await consumer.committed(TopicPartition(topic, 0))
    await consumer.stop()

    assert record.value == b"before"
    assert committed is None


async def test_a_consumer_of_an_unknown_topic_is_an_error_in_words(kafka_settings: KafkaSettings) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"

    with pytest.raises(TopicNotFoundError, match=topic):
        await aio.start_consumer(kafka_settings.replace(connect_timeout=1), topic, group_id="a-group")


async def test_a_broker_that_dies_is_an_error_in_time() -> None:
    with EmbeddedBroker() as broker:
        settings = await asyncio.to_thread(settings_with_new_topics, broker.bootstrap_servers)
        producer = await aio.start_producer(settings)
        message = OutgoingMessage(settings.workflow_results_topic, b"value")
        await aio.send(producer, message)
        broker.kill()
        begun = time.monotonic()

        with pytest.raises(DeliveryError, match="may still arrive"):
            await aio.send(producer, message, timeout=1)

        assert time.monotonic() - begun < 15
        broker.start()
        await producer.stop()


async def test_a_broker_that_starts_late_is_waited_for() -> None:
    with EmbeddedBroker() as broker:
        broker.kill()
        starting = asyncio.create_task(
            aio.start_producer(KafkaSettings(_env_file=None, bootstrap_servers=broker.bootstrap_servers))
        )
        await asyncio.to_thread(broker.start)

        producer = await starting

        await producer.stop()


async def first_record(settings: KafkaSettings, topic: str, partition: int) -> Any:
    consumer = await aio.start_consumer(settings)
    try:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        return await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
