"""The servers of the testing package, each started, killed and brought back."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import TopicPartition

from workflow_events.testing import process_tree
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.postgres import PostgresServer
from workflow_events.testing.processes import accepts_connections
from workflow_events.testing.waiting import wait_until

TOPIC = TopicPartition("kept", 0)


def create_topic(broker: ApacheKafka, replicas: int) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)) as admin:
        admin.create_topics([NewTopic(TOPIC.topic, num_partitions=1, replication_factor=replicas)])


def publish(broker: ApacheKafka, value: bytes) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")) as producer:
        producer.send(TOPIC.topic, value).get(timeout=30)


def published(broker: ApacheKafka) -> list[bytes]:
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")) as consumer:
        consumer.assign([TOPIC])
        end = consumer.end_offsets([TOPIC])[TOPIC]
        values: list[bytes] = []

        def all_read() -> bool:
            for records in consumer.poll(timeout_ms=500).values():
                values.extend(record.value for record in records)
            return len(values) >= int(end)

        wait_until(all_read, 30)
    return values


def test_an_embedded_broker_comes_back_at_its_address_and_is_gone_in_the_end() -> None:
    # Given a running broker
    with EmbeddedBroker() as broker:
        leader = broker._server.pid
        # When it is killed
        broker.kill()
        # Then nobody answers there, until it is restarted
        assert not accepts_connections(broker.port)
        assert process_tree.alive({leader}) == set()
        broker.restart()
        assert accepts_connections(broker.port)
        second = broker._server.pid
    assert process_tree.members(second) == set()
    assert not broker._folder.exists()


def test_apache_kafka_keeps_what_was_published_over_a_kill_and_a_restart(apache_kafka: Broker) -> None:
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("this Kafka is not ours to kill")
    with ApacheKafka() as broker:
        # Given a message on a topic
        create_topic(broker, replicas=1)
        publish(broker, b"before the kill")
        # When the broker is killed, started, and then restarted in good order
        broker.kill()
        assert not broker.is_running()
        broker.start()
        publish(broker, b"after the kill")
        broker.restart()
        # Then nothing is lost
        assert published(broker) == [b"before the kill", b"after the kill"]
        leaders = {server.pid for server in broker._servers.values()}
    assert process_tree.alive(leaders) == set()
    assert not broker._folder.exists()


@pytest.mark.slow
def test_three_brokers_lose_one_and_go_on(apache_kafka: Broker) -> None:
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("this Kafka is not ours to kill")
    with ApacheKafka(brokers=3) as cluster:
        # Given a topic with three replicas
        create_topic(cluster, replicas=3)
        publish(cluster, b"three")
        # When a broker dies
        cluster.kill(2)
        # Then the others go on, and take it in again
        publish(cluster, b"two")
        cluster.start(2)
        assert [cluster.is_running(node) for node in cluster.nodes] == [True, True, True]
        assert published(cluster) == [b"three", b"two"]


def test_postgres_keeps_what_was_committed_over_a_kill(postgres: PostgresServer) -> None:
    # Given a server of our own, for the session's is shared
    with PostgresServer() as server:
        assert server.version == postgres.version
        database = server.create_database("mine")
        with psycopg.connect(database) as connection:
            connection.execute("create table kept as select 42 as answer")
        backends = process_tree.members(server._server.pid)
        # When it is killed and started again
        server.kill()
        assert process_tree.alive(backends) == set()
        server.start()
        # Then the row is there
        with psycopg.connect(database) as connection:
            assert connection.execute("select answer from kept").fetchall() == [(42,)]
        backends = process_tree.members(server._server.pid)
    assert process_tree.alive(backends) == set()


def test_a_database_that_exists_is_not_created_again(postgres: PostgresServer) -> None:
    postgres.create_database("once")
    with pytest.raises(RuntimeError, match="already exists"):
        postgres.create_database("once")
