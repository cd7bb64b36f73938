"""Where the tests' Apache Kafka comes from: one that is named, one from Maven Central, or one in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from workflow_events.testing.unavailable import PartUnavailableError

CONTAINER_IMAGE = "confluentinc/cp-kafka:8.1.0"
"""Confluent Platform 8.1 is Apache Kafka 4.1."""


class Broker(Protocol):
    """What a test may ask of any broker."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, as ``host:port``, several separated by commas."""

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""


@dataclass(frozen=True)
class ForeignKafka:
    """A Kafka that somebody else starts and stops."""

    bootstrap_servers: str
    real_part: str


@contextmanager
def some_apache_kafka() -> Iterator[Broker]:
    """Yield the first Apache Kafka that can be had, and stop it afterwards if it was started here.

    1. The one at ``KAFKA_BOOTSTRAP_SERVERS``, where the environment names one: it must take plain connections. Tests
       make topics with fresh names there, so let it be a Kafka for tests.
    2. One started from the jars of Maven Central, where Java and Maven are.
    3. One in a container, where Docker answers and ``testcontainers`` is installed.

    Raises:
        PartUnavailableError: none can be had; the message says why, for each.
    """
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "").strip()
    if named:
        yield ForeignKafka(named, "Apache Kafka of KAFKA_BOOTSTRAP_SERVERS")
        return
    from workflow_events.testing.apache_kafka import ApacheKafka

    try:
        here = ApacheKafka()
    except PartUnavailableError as error:
        with _kafka_in_container(why_not_here=str(error)) as kafka:
            yield kafka
    else:
        with here:
            yield here


@contextmanager
def _kafka_in_container(why_not_here: str) -> Iterator[Broker]:
    try:
        from docker.errors import DockerException
        from testcontainers.community.kafka import KafkaContainer
    except ImportError:
        raise PartUnavailableError(f"{why_not_here}; and testcontainers is not installed") from None
    try:
        container = KafkaContainer(CONTAINER_IMAGE).with_kraft()
    except DockerException as error:
        raise PartUnavailableError(f"{why_not_here}; and no Docker engine answers: {error}") from error
    with container:
        yield ForeignKafka(container.get_bootstrap_server(), f"Apache Kafka in a container ({CONTAINER_IMAGE})")
