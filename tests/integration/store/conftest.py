"""The store's two backends: what it has by default, and what it has in earnest. One suite runs on both."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from result_store.settings import PREFIX, StoreSettings, variable
from workflow_events.settings import KafkaSettings
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.new_topics import new_topics
from workflow_events.testing.postgres import PostgresServer
from workflow_events.testing.redis import RedisServer
from workflow_events.testing.s3 import S3Server

BACKENDS: Final = ("embedded", "real")
_PARTITIONS: Final = 3
_numbers = itertools.count()


@dataclass(frozen=True)
class Backend:
    """One set of engines, with topics, a database, an archive and a cache that nobody else uses.

    Attributes:
        name: ``embedded`` (embedded broker, SQLite, a folder, the process's own cache) or ``real`` (Apache Kafka,
            PostgreSQL, an S3 bucket, Redis).
        kafka: names the broker and the topics, which are there and empty.
        settings: names all else. The database is empty: it has no tables yet. Ports are free ones, everybody may ask.
        archive_environment: what a process needs besides to reach the archive; it is in this process's environment too.
    """

    name: str
    kafka: KafkaSettings
    settings: StoreSettings
    archive_environment: dict[str, str]
    real_part: str

    def with_settings(self, **changes: Any) -> StoreSettings:
        """The settings with some of them changed."""
        values = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        return StoreSettings(**{**values, **changes})

    def environment(self, **changes: Any) -> dict[str, str]:
        """The whole environment of a process that works on this backend; ``changes`` are settings of the store's."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", PREFIX))}
        kafka = {f"KAFKA_{name.upper()}": getattr(self.kafka, name) for name in self.kafka.model_fields_set}
        settings = self.with_settings(**changes)
        store = {variable(name): getattr(settings, name) for name in settings.model_fields_set}
        ours = {name: _as_text(value) for name, value in {**kafka, **store}.items() if value is not None}
        return {**inherited, **self.archive_environment, **ours}


def _as_text(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal is not None else value)


@pytest.fixture(autouse=True)
def _no_store_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away ``RESULT_STORE_...``, so that a developer's environment does not steer the tests."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Yield one backend after the other. A test for one alone: ``parametrize("backend", ["real"], indirect=True)``."""
    make = {"embedded": _embedded, "real": _real}[request.param]
    with make(request, tmp_path) as made:
        for name, value in made.archive_environment.items():
            monkeypatch.setenv(name, value)
        yield made


@contextmanager
def _embedded(request: pytest.FixtureRequest, folder: Path) -> Iterator[Backend]:
    broker: Broker = request.getfixturevalue("embedded_broker")
    settings = _settings(database_url=f"sqlite:///{folder / 'store.db'}", archive=str(folder / "archive"))
    with new_topics(broker.bootstrap_servers, topic_partitions=_PARTITIONS) as kafka:
        yield Backend("embedded", kafka, settings, {}, "result store on its embedded defaults")


@contextmanager
def _real(request: pytest.FixtureRequest, folder: Path) -> Iterator[Backend]:
    broker: Broker = request.getfixturevalue("apache_kafka")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    redis: RedisServer = request.getfixturevalue("redis")
    s3: S3Server = request.getfixturevalue("s3")
    settings = _settings(
        database_url=postgres.create_database(f"store_{os.getpid()}_{next(_numbers)}"),
        archive=f"{s3.create_bucket('results')}/{folder.name}-{uuid.uuid4().hex[:8]}",
        redis_url=redis.new_database(),
    )
    with new_topics(broker.bootstrap_servers, topic_partitions=_PARTITIONS) as kafka:
        yield Backend("real", kafka, settings, s3.environment, "result store on PostgreSQL, Redis, S3 and Kafka")


def _settings(**options: Any) -> StoreSettings:
    tag = uuid.uuid4().hex[:12]
    common: dict[str, Any] = {
        "group_id": f"store-{tag}",
        "stored_topic": f"stored-{tag}",
        "poll_interval": 0.1,
        # As short as every broker takes; the embedded one has a new member wait for some of it.
        "session_timeout": 6.0,
        "api_port": 0,
        "metrics_port": 0,
        "auth": "none",
    }
    return StoreSettings(**{**common, **options})
