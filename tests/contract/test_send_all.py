"""Many messages published from a thread, one behind the other, on every broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workflow_events import DeliveryError, KafkaSettings, MessageTooLargeError, TopicNotFoundError, TransportError
from workflow_events.replies.sync_log import SyncLog
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.transport import blocking
from workflow_events.wire import OutgoingMessage


@pytest.fixture
def producer(kafka_settings: KafkaSettings) -> Iterator[blocking.Producer]:
    producer = blocking.new_producer(kafka_settings)
    try:
        yield producer
    finally:
        producer.close(timeout=10)


def stored(settings: KafkaSettings, count: int) -> list[bytes | None]:
    """What lies on the requests' topic, as soon as it is ``count`` messages."""
    log = SyncLog(settings, settings.workflow_events_topic)
    values: list[bytes | None] = []
    try:
        log.read_from(dict.fromkeys(log.partitions(10), 0), 10)
        until = time.monotonic() + 30
        while len(values) < count and time.monotonic() < until:
            for records in log.poll(1).values():
                values += [record.value for record in records]
    finally:
        log.disconnect()
    return values


@pytest.mark.parametrize("most", [1000, 7], ids=["all under way", "few under way"])
def test_all_are_stored_in_order(
    most: int, producer: blocking.Producer, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "_MOST_UNDER_WAY", most)
    values = [str(n).encode() for n in range(500)]
    topic = kafka_settings.workflow_events_topic

    blocking.send_all(producer, [OutgoingMessage(topic, value, key=b"one") for value in values], 60)

    assert stored(kafka_settings, 500) == values


def test_none_is_confirmed_before_the_next_is_handed_over(
    producer: blocking.Producer, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that each step is noted as it is taken
    told: list[str] = []
    begin, confirm = blocking._begin, blocking._confirm

    def noted(step: str, take: Callable[..., Any]) -> Callable[..., Any]:
        def taking(*given: Any) -> Any:
            told.append(step)
            return take(*given)

        return taking

    monkeypatch.setattr(blocking, "_begin", noted("begun", begin))
    monkeypatch.setattr(blocking, "_confirm", noted("confirmed", confirm))
    topic = kafka_settings.workflow_events_topic

    blocking.send_all(producer, (OutgoingMessage(topic, b"value") for _ in range(100)), 60)

    assert told == ["begun"] * 100 + ["confirmed"] * 100


def test_one_that_is_too_large_is_said(producer: blocking.Producer, kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.workflow_events_topic
    large = b"x" * (kafka_settings.max_message_bytes + 1)

    with pytest.raises(MessageTooLargeError, match=f"{len(large):,} bytes"):
        blocking.send_all(producer, [OutgoingMessage(topic, b"small"), OutgoingMessage(topic, large)], 30)


def test_a_partition_that_is_not_there_is_said(producer: blocking.Producer, kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.workflow_events_topic

    with pytest.raises(TopicNotFoundError, match="no partition 99"):
        blocking.send_all(producer, [OutgoingMessage(topic, b"v"), OutgoingMessage(topic, b"v", partition=99)], 30)


def test_it_ends_at_its_time_out_with_the_broker_gone() -> None:
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        producer = blocking.new_producer(settings)
        try:
            blocking.send_all(producer, [OutgoingMessage(settings.workflow_events_topic, b"before")], 30)
            broker.kill()
            begun = time.monotonic()
            with pytest.raises(TransportError) as caught:
                blocking.send_all(producer, [OutgoingMessage(settings.workflow_events_topic, b"v")] * 50, 2)
            assert time.monotonic() - begun < 15
        finally:
            producer.close(timeout=1)
    assert isinstance(caught.value, DeliveryError)
