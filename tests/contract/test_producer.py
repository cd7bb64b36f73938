"""What the producer promises: confirmed or an error in words, and the documented bytes, on every broker."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from kafka import TopicPartition

from workflow_events.errors import ConfigurationError, DeliveryError, MessageTooLargeError, TopicNotFoundError
from workflow_events.events import EventSource, EventType, WorkflowEvent, WorkflowResultEvent
from workflow_events.producer import WorkflowEventProducer
from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.topics import ensure_topics
from workflow_events.transport import blocking


@pytest.fixture
def producer(kafka_settings: KafkaSettings) -> Iterator[WorkflowEventProducer]:
    with WorkflowEventProducer(settings=kafka_settings) as producer:
        yield producer


def test_a_request_by_hand_needs_these_names_and_nothing_else(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KAFKA_WORKFLOW_EVENTS_TOPIC", kafka_settings.workflow_events_topic)
    producer = WorkflowEventProducer()

    event = producer.publish_workflow_event(
        event_type=EventType.WORKFLOW_TRIGGERED,
        workflow_id="a-dag",
        workflow_run_id="a-run",
        payload={"data": {"question": "?"}},
    )
    producer.flush()
    producer.close()

    assert uuid.UUID(str(event.event_id)).version == 7
    (record,) = read(kafka_settings, kafka_settings.workflow_events_topic, 1)
    assert json.loads(record.value)["payload"]["data"] == {"question": "?"}


def test_a_request_on_the_wire_is_as_documented(producer: WorkflowEventProducer) -> None:
    event = producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {"ä": "🎈"}})

    (record,) = read(producer.settings, producer.topic, 1)
    body, headers = json.loads(record.value.decode("utf-8")), dict(record.headers)
    assert record.key == str(event.event_id).encode()
    assert body["event_id"] == str(event.event_id)
    assert body["event_type"] == "workflow.triggered"
    assert body["source"] == "airflow"
    assert (body["workflow_id"], body["workflow_run_id"]) == ("w", "r")
    assert body["payload"]["data"] == {"ä": "🎈"}
    assert body["metadata"] == {"environment": "dev", "version": "1.0"}
    assert headers["correlation-id"] == str(event.event_id).encode()
    assert headers["content-type"].startswith(b"application/json")
    assert headers["ce_type"] == b"workflow.triggered"
    assert "reply-topic" not in headers


def test_a_request_carries_the_return_address_it_is_given(kafka_settings: KafkaSettings) -> None:
    with WorkflowEventProducer(settings=kafka_settings, reply_topic="my-results") as producer:
        producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {}})

    (record,) = read(kafka_settings, kafka_settings.workflow_events_topic, 1)
    assert dict(record.headers)["reply-topic"] == b"my-results"


def test_an_event_made_elsewhere_is_confirmed_with_true(producer: WorkflowEventProducer) -> None:
    event = an_event()

    assert producer.publish_event(event) is True

    (record,) = read(producer.settings, producer.topic, 1)
    assert WorkflowEvent.model_validate_json(record.value) == event


def test_a_result_goes_to_the_result_topic_keyed_by_its_correlation_id(producer: WorkflowEventProducer) -> None:
    result = WorkflowResultEvent(correlation_id=uuid.uuid4(), workflow_id="w", workflow_run_id="r", result={"x": 1})

    assert producer.publish_event(result) is True

    (record,) = read(producer.settings, producer.settings.workflow_results_topic, 1)
    assert record.key == str(result.correlation_id).encode()


def test_an_event_goes_where_it_is_told(producer: WorkflowEventProducer) -> None:
    topic = producer.settings.workflow_progress_topic

    assert producer.publish_event(an_event(), topic=topic, timeout=10) is True

    assert len(read(producer.settings, topic, 1)) == 1


def test_threads_share_one_producer_and_nothing_is_lost_or_doubled(producer: WorkflowEventProducer) -> None:
    events = [an_event() for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        confirmed = list(pool.map(producer.publish_event, events))

    assert all(confirmed)
    found = [json.loads(record.value)["event_id"] for record in read(producer.settings, producer.topic, 200)]
    assert sorted(found) == sorted(str(event.event_id) for event in events)


def test_it_can_be_used_again_after_it_was_closed(producer: WorkflowEventProducer) -> None:
    assert producer.publish_event(an_event())
    producer.close()
    producer.close()

    assert producer.publish_event(an_event())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_connects_anew(producer: WorkflowEventProducer) -> None:
    assert producer.publish_event(an_event())

    child = os.fork()
    if child == 0:
        os._exit(0 if producer.publish_event(an_event()) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert producer.publish_event(an_event())
    assert len(read(producer.settings, producer.topic, 3)) == 3


@pytest.mark.parametrize("timeout", [1.0, 30.0])
def test_an_unknown_topic_is_an_error_in_words_and_is_not_made(producer: WorkflowEventProducer, timeout: float) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"
    begun = time.monotonic()

    with pytest.raises(TopicNotFoundError, match="workflow-events topics create") as caught:
        producer.publish_event(an_event(), topic=topic, timeout=timeout)

    assert topic in str(caught.value)
    assert time.monotonic() - begun < min(timeout, 5.0) + 10
    with closing(blocking.new_admin(producer.settings)) as admin:
        assert topic not in admin.list_topics()


def test_a_topic_made_a_moment_later_is_waited_for(producer: WorkflowEventProducer) -> None:
    topic = f"soon-{uuid.uuid4().hex[:8]}"
    outcome: list[bool] = []
    publisher = threading.Thread(target=lambda: outcome.append(producer.publish_event(an_event(), topic=topic)))
    publisher.start()

    with closing(blocking.new_admin(producer.settings)) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})

    publisher.join()
    assert outcome == [True]


def test_too_large_a_message_is_refused_with_size_limit_and_setting(producer: WorkflowEventProducer) -> None:
    with pytest.raises(MessageTooLargeError) as caught:
        producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {"x": "x" * 2_000_000}})

    assert "1,048,576" in str(caught.value)
    assert "KAFKA_MAX_MESSAGE_BYTES" in str(caught.value)
    assert producer.publish_event(an_event()) is True


@pytest.mark.kafka_brokers("apache")
def test_a_message_too_large_for_the_broker_is_refused_the_same_way(kafka_settings: KafkaSettings) -> None:
    with (
        WorkflowEventProducer(settings=kafka_settings.replace(max_message_bytes=5_000_000)) as producer,
        pytest.raises(MessageTooLargeError, match=r"max\.message\.bytes"),
    ):
        producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {"x": "x" * 2_000_000}})


def test_a_message_of_just_the_largest_size_gets_through(producer: WorkflowEventProducer) -> None:
    room = producer.settings.max_message_bytes - 2_000

    event = producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {"x": "x" * room}})

    (record,) = read(producer.settings, producer.topic, 1)
    assert str(event.event_id).encode() in record.value


@pytest.mark.parametrize("compression, library", [("gzip", "gzip"), ("lz4", "lz4"), ("zstd", "zstandard")])
def test_compressed_messages_can_be_read(kafka_settings: KafkaSettings, compression: str, library: str) -> None:
    pytest.importorskip(library)
    with WorkflowEventProducer(settings=kafka_settings.replace(compression_type=compression)) as producer:
        producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {"x": "x" * 10_000}})

    (record,) = read(kafka_settings, kafka_settings.workflow_events_topic, 1)
    assert json.loads(record.value)["payload"]["data"]["x"] == "x" * 10_000


@pytest.mark.skipif(importlib.util.find_spec("snappy") is not None, reason="the library for snappy is installed")
def test_compression_without_its_library_says_what_to_install(kafka_settings: KafkaSettings) -> None:
    producer = WorkflowEventProducer(settings=kafka_settings.replace(compression_type="snappy"))

    with pytest.raises(ConfigurationError, match=r"python-snappy.*KAFKA_COMPRESSION_TYPE"):
        producer.publish_event(an_event())


@pytest.mark.kafka_brokers("apache")
def test_the_producer_is_idempotent_where_the_broker_can(producer: WorkflowEventProducer) -> None:
    assert producer.publish_event(an_event())

    with closing(blocking.new_admin(producer.settings)) as admin:
        partitions = [TopicPartition(producer.topic, number) for number in range(producer.settings.topic_partitions)]
        states = admin.describe_producers(partitions).values()

    assert [found.last_sequence for state in states for found in state.active_producers] == [0]


def test_a_broker_that_dies_is_an_error_in_time_and_what_was_under_way_is_told() -> None:
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers, connect_timeout=1)
        producer = WorkflowEventProducer(settings=settings)
        assert producer.publish_event(an_event())
        broker.kill()
        begun = time.monotonic()

        with pytest.raises(DeliveryError, match="may still arrive"):
            producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {}}, timeout=1)
        assert producer.publish_event(an_event(), timeout=1) is False
        with pytest.raises(DeliveryError, match="still under way"):
            producer.flush(timeout=0.2)
        producer.close(timeout=0.2)

        assert time.monotonic() - begun < 15


def test_a_broker_that_comes_back_in_time_gets_the_message() -> None:
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers, connect_timeout=10)
        broker.kill()
        outcome: list[Any] = []

        with WorkflowEventProducer(settings=settings) as producer:
            publisher = threading.Thread(
                target=lambda: outcome.append(producer.publish_event(an_event(), timeout=20)), daemon=True
            )
            publisher.start()
            broker.start()
            ensure_topics(settings)  # the broker has forgotten them
            publisher.join()

        assert outcome == [True]


def an_event() -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED, source=EventSource.AIRFLOW, workflow_id="w", workflow_run_id="r"
    )


def read(settings: KafkaSettings, topic: str, count: int) -> list[Any]:
    """The records of a topic from its start, at least so many of them."""
    with closing(blocking.new_consumer(settings)) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + 20
        records: list[Any] = []
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} records"
            for found in consumer.poll(timeout_ms=200).values():
                records += found
        return records
