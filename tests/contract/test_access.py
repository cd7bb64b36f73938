"""A guarded Apache Kafka: TLS, SASL and rights. Whoever is not let in is told why, by both clients, and no password shows."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import CertificateAuthority
from tests.guarded import guarded_kafka
from workflow_events.errors import AccessDeniedError, BrokerUnavailableError, TopicNotFoundError
from workflow_events.settings import KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.topics import ensure_topics
from workflow_events.transport import aio, blocking
from workflow_events.wire import OutgoingMessage

ADMIN_SECRET = "admin-secret-0f3a"
ALICE_SECRET = "alice-secret-77c1"

Connect = Callable[[KafkaSettings], None]

# aiokafka does not wait until TLS has said good-bye, and an event loop that ends first leaves the socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collect_what_is_left_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded(
    apache_kafka: Broker, authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Bootstrap servers of a Kafka that takes SASL over TLS only, and gives rights to ``admin`` alone."""
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("the guarded Kafka is made from Maven Central's jars, and this run has another one")
    folder = tmp_path_factory.mktemp("broker")
    users = {"alice": ALICE_SECRET}
    with guarded_kafka(authority, folder, admin_secret=ADMIN_SECRET, users=users, scram=False) as kafka:
        yield kafka.bootstrap_servers


@pytest.fixture(scope="module")
def admin(guarded: str, authority: CertificateAuthority) -> KafkaSettings:
    """What ``admin`` connects with."""
    tag = uuid.uuid4().hex[:8]
    return KafkaSettings(
        _env_file=None,
        bootstrap_servers=guarded,
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="admin",
        sasl_password=ADMIN_SECRET,
        ssl_cafile=str(authority.cafile),
        connect_timeout=3,
        workflow_events_topic=f"events-{tag}",
    )


@pytest.fixture
def alice(admin: KafkaSettings) -> KafkaSettings:
    """What ``alice`` connects with, who is known and has no rights."""
    ensure_topics(admin)
    return admin.replace(sasl_username="alice", sasl_password=ALICE_SECRET)


def by_blocking(settings: KafkaSettings) -> None:
    with closing(blocking.new_producer(settings)) as producer:
        blocking.send(producer, OutgoingMessage(settings.workflow_events_topic, b"value"), 10)


def by_aio(settings: KafkaSettings) -> None:
    async def publish() -> None:
        producer = await aio.start_producer(settings)
        try:
            await aio.send(producer, OutgoingMessage(settings.workflow_events_topic, b"value"), 10)
        finally:
            await producer.stop()

    asyncio.run(publish())


both = pytest.mark.parametrize("publish", [by_blocking, by_aio], ids=["blocking", "aio"])


@both
def test_whoever_is_let_in_can_publish_and_no_log_shows_the_password(
    admin: KafkaSettings, publish: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topics(admin)
    caplog.set_level(logging.DEBUG)

    publish(admin)

    assert "Authenticated as admin" in caplog.text
    assert ADMIN_SECRET not in caplog.text


@both
def test_a_wrong_password_is_told_with_the_user_and_without_the_password(
    admin: KafkaSettings, publish: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(AccessDeniedError, match=r"'admin'.*KAFKA_SASL_PASSWORD") as caught:
        publish(admin.replace(sasl_password="wrong-secret-5d5d"))

    assert "wrong-secret-5d5d" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"


@both
def test_a_mechanism_that_the_broker_lacks_is_told(admin: KafkaSettings, publish: Connect) -> None:
    with pytest.raises(AccessDeniedError, match=r"SCRAM-SHA-512.*KAFKA_SASL_MECHANISM"):
        publish(admin.replace(sasl_mechanism="SCRAM-SHA-512"))


@both
def test_an_authority_that_did_not_sign_is_told(admin: KafkaSettings, publish: Connect, tmp_path: Path) -> None:
    stranger = CertificateAuthority(tmp_path)

    with pytest.raises(BrokerUnavailableError, match=r"CERTIFICATE_VERIFY_FAILED.*KAFKA_SSL_CAFILE"):
        publish(admin.replace(ssl_cafile=str(stranger.cafile), connect_timeout=1))


@both
def test_a_plain_connection_to_a_guarded_port_points_at_the_protocol(guarded: str, publish: Connect) -> None:
    settings = KafkaSettings(_env_file=None, bootstrap_servers=guarded, connect_timeout=1)

    with pytest.raises(BrokerUnavailableError, match=guarded):
        publish(settings)


@both
def test_a_missing_right_to_publish_is_told_with_the_topic(alice: KafkaSettings, publish: Connect) -> None:
    with pytest.raises(AccessDeniedError, match=r"'alice'.*WRITE.*'events-"):
        publish(alice)


def test_a_missing_right_to_make_topics_is_told(alice: KafkaSettings) -> None:
    with pytest.raises(AccessDeniedError, match=r"'alice'.*(DESCRIBE|CREATE)"):
        ensure_topics(alice)


@both
def test_a_topic_is_not_made_by_publishing_to_it(admin: KafkaSettings, publish: Connect) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"

    with pytest.raises(TopicNotFoundError):
        publish(admin.replace(workflow_events_topic=topic))

    assert topic not in topics(admin)


@pytest.mark.parametrize("group_id", [None, "a-group"])
async def test_a_topic_is_not_made_by_reading_from_it(admin: KafkaSettings, group_id: str | None) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"

    with pytest.raises(TopicNotFoundError):
        await aio.start_consumer(admin, topic, group_id=group_id)

    assert topic not in await asyncio.to_thread(topics, admin)


def test_a_reader_of_kafka_python_does_not_make_a_topic_by_asking_for_it(admin: KafkaSettings) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"

    with closing(blocking.new_consumer(admin)) as consumer:
        assert not consumer.partitions_for_topic(topic)

    assert topic not in topics(admin)


def topics(settings: KafkaSettings) -> Any:
    with closing(blocking.new_admin(settings)) as client:
        return client.list_topics()
