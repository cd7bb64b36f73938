"""What the drills share: one broker of Apache Kafka, and an Airflow with their DAGs, both on their default settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_events import KafkaSettings
from workflow_events.testing.airflow import AirflowStack
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.topics import ensure_topics

__all__ = ["drill_airflow", "drill_broker", "drill_environment"]

_HERE = Path(__file__).parent


@contextmanager
def drill_broker() -> Iterator[KafkaSettings]:
    """A broker with the topics."""
    with ApacheKafka() as kafka:
        settings = KafkaSettings(_env_file=None, bootstrap_servers=kafka.bootstrap_servers)
        ensure_topics(settings)
        yield settings


def drill_environment(settings: KafkaSettings) -> dict[str, str]:
    """The environment of a process that finds the broker, and the project's modules."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_HERE.parents[1]),
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
    }


def drill_airflow(settings: KafkaSettings, database: str) -> AirflowStack:
    """An Airflow with the drills' DAGs, to be entered."""
    return AirflowStack(
        _HERE / "dags", database=database, environment={"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    )
