"""Mutual TLS: a broker that takes nobody without a certificate, and knows its users by them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.certificates import CertificateAuthority
from tests.guarded import Right, grant
from workflow_events import AccessDeniedError, BrokerUnavailableError, KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.topics import ensure_topics
from workflow_events.transport import aio, blocking
from workflow_events.wire import OutgoingMessage

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def by_certificate(
    apache_kafka: Broker, authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApacheKafka]:
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("the guarded Kafka is made from Maven Central's jars, and this run has another one")
    broker = authority.certificate("broker-by-certificate")
    key_store = tmp_path_factory.mktemp("broker") / "broker.pem"
    key_store.write_bytes(broker.keyfile.read_bytes() + broker.certfile.read_bytes())
    properties = {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SSL",
        "ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.cafile),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:CN=admin;User:CN=broker-by-certificate;User:ANONYMOUS",
    }
    with ApacheKafka(properties=properties) as kafka:
        yield kafka


def shown(kafka: ApacheKafka, authority: CertificateAuthority, name: str) -> KafkaSettings:
    """What somebody connects with who has a certificate in this name, with a password on its key."""
    certificate = authority.certificate(name, password="secret-of-the-key")
    return KafkaSettings(
        _env_file=None,
        bootstrap_servers=kafka.bootstrap_servers,
        security_protocol="SSL",
        ssl_cafile=str(authority.cafile),
        ssl_certfile=str(certificate.certfile),
        ssl_keyfile=str(certificate.keyfile),
        ssl_key_password="secret-of-the-key",
        connect_timeout=5,
        topic_partitions=1,
    )


def publish_blocking(settings: KafkaSettings) -> None:
    producer = blocking.new_producer(settings)
    try:
        blocking.send(producer, OutgoingMessage(settings.workflow_events_topic, b"value"), 10)
    finally:
        producer.close()


def publish_aio(settings: KafkaSettings) -> None:
    async def publish() -> None:
        producer = await aio.start_producer(settings)
        try:
            await aio.send(producer, OutgoingMessage(settings.workflow_events_topic, b"value"), 10)
        finally:
            await producer.stop()

    asyncio.run(publish())


def test_who_shows_a_certificate_has_the_rights_of_its_name(
    by_certificate: ApacheKafka, authority: CertificateAuthority
) -> None:
    # Given topics, one who may publish, and one who may not
    admin = shown(by_certificate, authority, "admin")
    ensure_topics(admin)
    grant(admin, "CN=alice", [Right("WRITE", "topic", admin.workflow_events_topic)])
    alice, bob = shown(by_certificate, authority, "alice"), shown(by_certificate, authority, "bob")
    for publish in (publish_blocking, publish_aio):
        # When they publish, then it goes by the name in the certificate
        publish(alice)
        with pytest.raises(AccessDeniedError, match=r"the client certificate's name.*WRITE.*'workflow-events'"):
            publish(bob)


@pytest.mark.parametrize("publish", [publish_blocking, publish_aio], ids=["blocking", "aio"])
def test_who_shows_none_is_not_let_in(
    by_certificate: ApacheKafka, authority: CertificateAuthority, publish: object
) -> None:
    nobody = KafkaSettings(
        _env_file=None,
        bootstrap_servers=by_certificate.bootstrap_servers,
        security_protocol="SSL",
        ssl_cafile=str(authority.cafile),
        connect_timeout=2,
    )
    assert callable(publish)
    with pytest.raises(BrokerUnavailableError, match=by_certificate.bootstrap_servers):
        publish(nobody)
