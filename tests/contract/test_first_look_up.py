"""A first look-up of a topic, while the client connects or asks for something else: on every broker, with both libraries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError
from kafka.protocol.metadata import MetadataRequest

from workflow_events.errors import BrokerUnavailableError
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio, blocking
from workflow_events.transport.dialling import finish
from workflow_events.wire import OutgoingMessage

MANY = 20
"""More than twice the five that may be under way on one connection at once."""


@pytest.fixture
async def aio_producer(kafka_settings: KafkaSettings) -> AsyncIterator[aio.Producer]:
    producer = await aio.start_producer(kafka_settings)
    yield producer
    await producer.stop()


@pytest.fixture
def producer(kafka_settings: KafkaSettings) -> Iterator[blocking.Producer]:
    with closing(blocking.new_producer(kafka_settings)) as producer:
        yield producer


def test_all_that_is_asked_while_a_connection_is_being_made_is_answered(kafka_settings: KafkaSettings) -> None:
    with closing(blocking.new_consumer(kafka_settings)) as consumer:
        manager = consumer.connection._manager
        (node,) = (broker.node_id for broker in consumer.connection.cluster.brokers())

        async def ask() -> list[Any]:
            """In the client's own thread, so that nothing is connected before the last has asked."""
            if node in manager._conns:
                manager._conns[node].close(KafkaConnectionError("this test's"))  # at once, whatever it has to write
            return [manager.send(MetadataRequest(topics=[]), node) for _ in range(MANY)]

        answers = [finish(asked, 10) for asked in finish(manager.call_soon(ask), 10)]

    assert [len(answer.brokers) for answer in answers] == [1] * MANY


async def test_aiokafka_learns_of_a_topic_added_while_it_asks_for_others(
    kafka_settings: KafkaSettings, aio_producer: aio.Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client that has asked for one topic, and asks for it again once it has been told that another is there
    client = aio_producer.client
    await client.set_topics([kafka_settings.workflow_events_topic])
    send = client.send

    async def send_and_update(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        answer = await send(*args, **kwargs)
        client.force_metadata_update()
        while not any(connection._requests for connection in client._conns.values()):  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0)
        return answer

    monkeypatch.setattr(client, "send", send_and_update)
    # When a message goes to another topic
    place = await aio.send(aio_producer, OutgoingMessage(kafka_settings.workflow_results_topic, b"value"))
    # Then it goes there
    assert place.topic == kafka_settings.workflow_results_topic


def test_kafka_python_learns_of_a_topic_added_while_it_asks_for_others(
    producer: blocking.Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client that has asked for one topic, and asks for it again once it has been told that another is there
    blocking.send(producer, OutgoingMessage(producer.settings.workflow_events_topic, b"value"), 20)
    connection, cluster = producer.connection, producer.connection.cluster
    topic_error, add_topic, manager = connection.topic_error, cluster.add_topic, connection._manager
    under_way, added = threading.Event(), threading.Event()

    async def ask_again() -> None:
        """In the client's own thread, which hears no answer before the topic is added."""
        cluster.request_update()
        while not cluster.metadata_refresh_in_progress:
            await manager._net.sleep(0)
        under_way.set()
        added.wait(10)

    def topic_error_and_update(*args: Any) -> int:
        code = topic_error(*args)
        if not under_way.is_set():
            manager.call_soon(ask_again)
            assert under_way.wait(10)
        return code

    def add(topic: str) -> Any:
        update = add_topic(topic)
        added.set()
        return update

    monkeypatch.setattr(connection, "topic_error", topic_error_and_update)
    monkeypatch.setattr(cluster, "add_topic", add)
    # When a message goes to another topic
    topic = producer.settings.workflow_results_topic
    place = blocking.send(producer, OutgoingMessage(topic, b"value"), 20)
    # Then it goes there
    assert place.topic == topic


async def test_aiokafka_does_not_call_a_topic_missing_that_it_is_only_not_told_of(
    kafka_settings: KafkaSettings, aio_producer: aio.Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_producer.client.cluster, "partitions_for_topic", lambda topic: None)

    with pytest.raises(BrokerUnavailableError, match="no answer within"):
        await aio.send(aio_producer, OutgoingMessage(kafka_settings.workflow_results_topic, b"value"), 1.0)


def test_kafka_python_does_not_call_a_topic_missing_that_it_is_only_not_told_of(
    producer: blocking.Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer.connection.cluster, "partitions_for_topic", lambda topic: None)

    with pytest.raises(BrokerUnavailableError, match="no answer within"):
        blocking.send(producer, OutgoingMessage(producer.settings.workflow_results_topic, b"value"), 1.0)
