"""The contract that every broker of the suite keeps: what is published can be read back, in order, by a plain client."""

from __future__ import annotations

import itertools
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.new_topics import new_topics
from workflow_events.testing.waiting import wait_until
from workflow_events.topics import TopicOutcome, ensure_topics, topic_specs
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


def test_the_topics_of_a_test_are_gone_after_it(kafka_broker: Broker) -> None:
    # Given topics as the fixture makes them
    with new_topics(kafka_broker.bootstrap_servers) as settings:
        names = {spec.name for spec in topic_specs(settings)}
        with closing(blocking.new_admin(settings)) as admin:
            assert names <= set(admin.list_topics())
    # When the test is over
    # Then the broker has none of them any more
    with closing(blocking.new_admin(settings)) as admin:
        wait_until(lambda: names.isdisjoint(admin.list_topics()), 30, what=f"the end of {sorted(names)}")


def test_a_broker_that_died_in_a_test_has_no_topics_to_delete() -> None:
    # Given topics on a broker of one's own
    with EmbeddedBroker() as broker, new_topics(broker.bootstrap_servers, connect_timeout=0.5):
        # When it dies within the block, then the block's end is none the worse for it
        broker.kill()
