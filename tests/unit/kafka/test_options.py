"""The settings as arguments for both clients: the libraries take them, TLS files are checked, passwords stay hidden."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from tests.certificates import CertificateAuthority
from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio
from workflow_events.transport.options import aiokafka_producer_options, consumer_options, kafka_python_producer_options

SECRET = "hunter2-is-my-secret"
SASL: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "alice", "sasl_password": SECRET}


@pytest.mark.parametrize("client", [KafkaProducer, KafkaConsumer, KafkaAdminClient])
def test_each_client_of_kafka_python_knows_every_shared_option(client: Any) -> None:
    options = KafkaSettings(security_protocol="SASL_SSL", **SASL).for_kafka_python()

    assert set(options) <= set(client.DEFAULT_CONFIG)


async def test_the_clients_of_aiokafka_take_every_option() -> None:
    settings = KafkaSettings(security_protocol="SASL_SSL", **SASL)

    consumer = aio.new_consumer(settings, "a-topic", group_id="a-group")
    producer = aio.Producer(settings, enable_idempotence=True)

    assert consumer.subscription() == {"a-topic"}
    await consumer.stop()
    await producer.stop()


def test_time_outs_become_milliseconds() -> None:
    settings = KafkaSettings(connect_timeout=1.5, request_timeout=20, metadata_max_age=60)

    options = settings.for_kafka_python()

    assert options["bootstrap_timeout_ms"] == 1500
    assert options["request_timeout_ms"] == 20_000
    assert options["metadata_max_age_ms"] == 60_000
    assert settings.for_aiokafka()["request_timeout_ms"] == 20_000


def test_without_sasl_no_credentials_are_passed_on() -> None:
    settings = KafkaSettings()

    for options in (settings.for_aiokafka(), settings.for_kafka_python()):
        assert not [name for name in options if name.startswith(("sasl_", "ssl_"))]


def test_credentials_are_passed_on_and_print_as_stars() -> None:
    settings = KafkaSettings(security_protocol="SASL_PLAINTEXT", **SASL)

    for options in (settings.for_aiokafka(), settings.for_kafka_python()):
        assert options["sasl_mechanism"] == "SCRAM-SHA-256"
        assert options["sasl_plain_username"] == "alice"
        assert options["sasl_plain_password"] == SECRET
        assert options["sasl_plain_password"].encode() == SECRET.encode()
        assert SECRET not in repr(options)


def test_producers_wait_for_all_replicas() -> None:
    settings = KafkaSettings(compression_type="gzip", max_message_bytes=2048)

    for options in (aiokafka_producer_options(settings), kafka_python_producer_options(settings)):
        assert options["acks"] == "all"
        assert options["compression_type"] == "gzip"
        assert options["max_request_size"] == 2048
    assert aiokafka_producer_options(KafkaSettings())["compression_type"] is None


def test_consumers_commit_nothing_and_read_what_is_committed() -> None:
    options = consumer_options(KafkaSettings(max_message_bytes=5_000_000))

    assert options["enable_auto_commit"] is False
    assert options["isolation_level"] == "read_committed"
    assert options["max_partition_fetch_bytes"] == 5_000_000


def test_tls_trusts_the_given_authority_and_checks_the_hostname(authority: CertificateAuthority) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_cafile=str(authority.cafile))

    context = settings.for_aiokafka()["ssl_context"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is True
    assert [found["subject"] for found in context.get_ca_certs()] == [((("commonName", "a CA for tests"),),)]


def test_the_check_of_the_hostname_can_be_left_out_but_not_that_of_the_certificate() -> None:
    context = KafkaSettings(security_protocol="SSL", ssl_check_hostname=False).for_kafka_python()["ssl_context"]

    assert context.check_hostname is False
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_client_certificate_with_a_password_is_loaded(authority: CertificateAuthority) -> None:
    alice = authority.certificate("alice", password=SECRET)

    settings = KafkaSettings(
        security_protocol="SSL",
        ssl_certfile=str(alice.certfile),
        ssl_keyfile=str(alice.keyfile),
        ssl_key_password=SECRET,
    )

    assert settings.for_aiokafka()["ssl_context"] is not None


@pytest.mark.parametrize("password", [None, "wrong-" + SECRET])
def test_a_wrong_or_missing_key_password_is_an_error_and_no_question_at_the_terminal(
    authority: CertificateAuthority, password: str | None
) -> None:
    bob = authority.certificate("bob", password=SECRET)
    settings = KafkaSettings(
        security_protocol="SSL", ssl_certfile=str(bob.certfile), ssl_keyfile=str(bob.keyfile), ssl_key_password=password
    )

    with pytest.raises(ConfigurationError, match="KAFKA_SSL_KEY_PASSWORD") as caught:
        settings.for_kafka_python()

    assert SECRET not in str(caught.value)


def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_cafile=str(tmp_path / "nowhere.pem"))

    with pytest.raises(ConfigurationError, match=r"nowhere\.pem.*KAFKA_SSL_CAFILE"):
        settings.for_aiokafka()


def test_a_missing_client_certificate_is_named(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_certfile=str(tmp_path / "nowhere.pem"))

    with pytest.raises(ConfigurationError, match=r"nowhere\.pem.*KAFKA_SSL_CERTFILE"):
        settings.for_aiokafka()


def test_the_clients_debug_logs_show_no_credentials(caplog: pytest.LogCaptureFixture) -> None:
    for client in ("kafka", "aiokafka"):
        caplog.set_level(logging.DEBUG, client)
    KafkaSettings(security_protocol="SASL_PLAINTEXT", **SASL).for_kafka_python()

    class SaslAuthenticateRequest:
        def __str__(self) -> str:
            return f"SaslAuthenticateRequest(auth_bytes={SECRET})"

    class MetadataRequest:
        pass

    for name in ("kafka.net.connection", "kafka.protocol.parser", "aiokafka.conn"):
        logger = logging.getLogger(name)
        logger.debug("%s Request %d: %s", "node", 1, SaslAuthenticateRequest())
        logger.debug("%s Send: %r", "node", SECRET.encode())
        logger.debug("%s Request %d: %s", "node", 2, MetadataRequest())

    assert SECRET not in caplog.text
    assert caplog.text.count("MetadataRequest") == 3
