"""The contract that every broker of the suite keeps: what is published can be read back, in order, by a plain client."""

from __future__ import annotations

import itertools
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from workflow_events.settings import KafkaSettings
from workflow_events.topics import TopicOutcome, ensure_topics
from workflow_events.transport import blocking


def test_a_message_published_by_a_plain_client_is_read_back_with_key_and_headers(kafka_settings: KafkaSettings) -> None:
    # Given a topic of the fixture's
    topic = kafka_settings.workflow_results_topic
    # When a client that has never heard of this SDK publishes to it
    with closing(KafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers)) as producer:
        sent = producer.send(topic, value=b"value", key=b"key", headers=[("name", b"text")]).get(timeout=10)
    # Then another one finds it, at the place that the broker told
    with closing(KafkaConsumer(bootstrap_servers=kafka_settings.bootstrap_servers)) as consumer:
        partition = TopicPartition(topic, sent.partition)
        consumer.assign([partition])
        consumer.seek(partition, sent.offset)
        found = next(itertools.chain.from_iterable(consumer.poll(timeout_ms=10_000).values()))
    assert (found.offset, found.key, found.value, list(found.headers)) == (
        sent.offset,
        b"key",
        b"value",
        [("name", b"text")],
    )


def test_the_topics_of_a_test_are_there_and_empty(kafka_settings: KafkaSettings) -> None:
    # Given the fixture's settings
    # When its topics are looked for
    reports = ensure_topics(kafka_settings, create=False)
    # Then all are there, and nothing is in them
    assert {report.outcome for report in reports} == {TopicOutcome.EXISTS}
    with closing(blocking.new_consumer(kafka_settings)) as consumer:
        topic = kafka_settings.workflow_events_topic
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        assert set(consumer.end_offsets(partitions).values()) == {0}
