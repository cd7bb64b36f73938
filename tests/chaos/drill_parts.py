"""What the drills share: one broker of Apache Kafka, a worker, and an Airflow with their DAGs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.stopping import NOTES, Notes
from workflow_events import KafkaSettings
from workflow_events.testing.airflow import AirflowStack
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.processes import ServerProcess
from workflow_events.topics import ensure_topics

__all__ = ["drill_airflow", "drill_broker", "drill_environment", "drill_worker", "topics_of"]

_HERE = Path(__file__).parent
_GRAPH = f"stopping={_HERE / 'stopping.py'}:from_environment"


@contextmanager
def drill_broker() -> Iterator[KafkaSettings]:
    """A broker with the topics."""
    with ApacheKafka() as kafka:
        yield topics_of(kafka)


def topics_of(kafka: ApacheKafka) -> KafkaSettings:
    """The settings of a new broker, which has the topics now."""
    settings = KafkaSettings(_env_file=None, bootstrap_servers=kafka.bootstrap_servers)
    ensure_topics(settings)
    return settings


def drill_environment(settings: KafkaSettings) -> dict[str, str]:
    """The environment of a process that finds the broker, and the project's modules."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_HERE.parents[1]),
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
    }


def drill_worker(settings: KafkaSettings, notes: Notes, **environment: str) -> ServerProcess:
    """A worker with the graph whose node takes long; its log lies beside the notes."""
    folder = notes.path.parent
    return ServerProcess(
        "worker",
        [sys.executable, "-m", "langgraph_integration", _GRAPH],
        log_file=folder / "worker.log",
        environment={**drill_environment(settings), NOTES: str(notes.path), **environment},
        directory=folder,
    )


def drill_airflow(settings: KafkaSettings, database: str) -> AirflowStack:
    """An Airflow with the drills' DAGs, to be entered."""
    return AirflowStack(
        _HERE / "dags", database=database, environment={"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    )
