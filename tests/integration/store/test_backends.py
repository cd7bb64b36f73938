"""The servers that the store's tests run on answer, each test has its own places on them, and a killed one is gone."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from obstore.store import from_url
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.integration.store.conftest import Backend
from workflow_events.testing.redis import RedisServer


def test_a_process_on_a_backend_is_told_all_that_it_needs(backend: Backend) -> None:
    environment = backend.environment(batch_size=7)
    assert environment["KAFKA_BOOTSTRAP_SERVERS"] == backend.kafka.bootstrap_servers
    assert environment["KAFKA_WORKFLOW_EVENTS_TOPIC"] == backend.kafka.workflow_events_topic
    assert environment["RESULT_STORE_DATABASE_URL"] == backend.settings.database_url.get_secret_value()
    assert environment["RESULT_STORE_BATCH_SIZE"] == "7"
    assert ("AWS_ENDPOINT" in environment) == ("RESULT_STORE_REDIS_URL" in environment) == (backend.name == "real")


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_the_bucket_of_a_backend_takes_and_gives(backend: Backend) -> None:
    bucket = from_url(backend.settings.archive, client_options={"allow_http": True})
    obstore.put(bucket, "a/b.json", b"{}")
    assert bytes(obstore.get(bucket, "a/b.json").bytes()) == b"{}"


def test_a_killed_redis_comes_back_empty_at_its_address() -> None:
    # Given a server of our own with something in it
    with RedisServer() as server:
        folder: Path = server._folder
        first, second = server.new_database(), server.new_database()
        with Redis.from_url(first) as client, Redis.from_url(second) as neighbour:
            client.set("key", "value")
            assert neighbour.get("key") is None
            # When it is killed
            server.kill()
            # Then nobody answers, until it is started again
            with pytest.raises(RedisConnectionError):
                client.get("key")
            server.start()
            assert client.get("key") is None
    assert not folder.exists()
