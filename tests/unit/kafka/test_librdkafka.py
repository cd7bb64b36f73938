"""Settings from an Airflow connection of type ``kafka``, whose extra holds librdkafka's options."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings

SECRET = "hunter2-is-my-secret"
MANAGED_CLUSTER: dict[str, Any] = {
    "bootstrap.servers": "broker.example.com:9092",
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "scram-sha-512",
    "sasl.username": "alice",
    "sasl.password": SECRET,
    "ssl.ca.location": "/etc/ca.pem",
    "client.id": "airflow",
    "group.id": "airflow-workers",
    "auto.offset.reset": "beginning",
    "socket.timeout.ms": "20000",
    "socket.connection.setup.timeout.ms": 5000,
    "compression.type": "zstd",
}


def test_the_options_of_a_managed_cluster_are_taken_over() -> None:
    settings = KafkaSettings.from_librdkafka(MANAGED_CLUSTER)

    assert settings.bootstrap_servers == "broker.example.com:9092"
    assert settings.security_protocol == "SASL_SSL"
    assert settings.sasl_mechanism == "SCRAM-SHA-512"
    assert settings.sasl_username == "alice"
    assert settings.sasl_password == SecretStr(SECRET)
    assert settings.ssl_cafile == "/etc/ca.pem"
    assert settings.client_id == "airflow"
    assert settings.request_timeout == 20.0
    assert settings.connect_timeout == 5.0
    assert settings.compression_type == "zstd"


def test_a_client_certificate_is_taken_over() -> None:
    settings = KafkaSettings.from_librdkafka(
        {
            "bootstrap.servers": "b:1",
            "security.protocol": "SSL",
            "ssl.certificate.location": "cert.pem",
            "ssl.key.location": "key.pem",
            "ssl.key.password": SECRET,
            "ssl.endpoint.identification.algorithm": "none",
        }
    )

    assert (settings.ssl_certfile, settings.ssl_keyfile) == ("cert.pem", "key.pem")
    assert settings.ssl_key_password == SecretStr(SECRET)
    assert settings.ssl_check_hostname is False


def test_the_hostname_is_checked_unless_the_options_say_none() -> None:
    settings = KafkaSettings.from_librdkafka(
        {"bootstrap.servers": "b:1", "security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "https"}
    )

    assert settings.ssl_check_hostname is True


def test_overrides_win() -> None:
    settings = KafkaSettings.from_librdkafka(MANAGED_CLUSTER, client_id="mine", workflow_results_topic="my-results")

    assert (settings.client_id, settings.workflow_results_topic) == ("mine", "my-results")


def test_credentials_of_the_environment_do_not_go_to_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "environment")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)

    settings = KafkaSettings.from_librdkafka({"bootstrap.servers": "connection:9092"})

    assert settings.bootstrap_servers == "connection:9092"
    assert settings.security_protocol == "PLAINTEXT"
    assert settings.sasl_password is None


def test_topics_still_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_WORKFLOW_RESULTS_TOPIC", "team.results")

    settings = KafkaSettings.from_librdkafka({"bootstrap.servers": "b:1"})

    assert settings.workflow_results_topic == "team.results"


def test_options_that_mean_nothing_here_are_left_out_with_a_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    KafkaSettings.from_librdkafka(MANAGED_CLUSTER)

    assert "'group.id'" in caplog.text
    assert "'auto.offset.reset'" in caplog.text
    assert SECRET not in caplog.text
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


@pytest.mark.parametrize(
    "options, named",
    [
        pytest.param({}, "bootstrap.servers", id="no-broker"),
        pytest.param({"sasl.oauthbearer.config": "x"}, "sasl.oauthbearer.config", id="oauth"),
        pytest.param({"sasl.kerberos.keytab": "x"}, "sasl.kerberos.keytab", id="kerberos"),
        pytest.param({"ssl.keystore.location": "x.p12"}, "ssl.keystore.location", id="key-store"),
        pytest.param({"ssl.key.pem": SECRET}, "ssl.key.pem", id="key-in-the-text"),
        pytest.param({"enable.ssl.certificate.verification": False}, "ssl.ca.location", id="no-verification"),
        pytest.param({"socket.timeout.ms": "soon"}, "socket.timeout.ms", id="no-number"),
        pytest.param({"security.protocol": "SASL_SSL"}, "GSSAPI", id="librdkafka-s-default-mechanism"),
        pytest.param(
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "OAUTHBEARER", id="oauth-mechanism"
        ),
        pytest.param({"security.protocol": "SASL_SSL", "sasl.mechanisms": "GSSAPI"}, "GSSAPI", id="kerberos-mechanism"),
        pytest.param(
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.password": SECRET},
            "sasl_username",
            id="no-user",
        ),
    ],
)
def test_what_is_not_supported_is_refused_in_words(options: dict[str, Any], named: str) -> None:
    config = options and {"bootstrap.servers": "b:1", **options}

    with pytest.raises(ConfigurationError) as caught:
        KafkaSettings.from_librdkafka(config)

    assert named in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("absent", [None, ""])
def test_an_empty_option_counts_as_absent(absent: str | None) -> None:
    settings = KafkaSettings.from_librdkafka({"bootstrap.servers": "b:1", "sasl.kerberos.keytab": absent})

    assert settings.security_protocol == "PLAINTEXT"


def test_switching_the_verification_on_is_no_news() -> None:
    settings = KafkaSettings.from_librdkafka(
        {"bootstrap.servers": "b:1", "security.protocol": "SSL", "enable.ssl.certificate.verification": "true"}
    )

    assert settings.security_protocol == "SSL"
