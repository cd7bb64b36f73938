"""Where settings come from, what they refuse, and what they never show."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings

SECRET = "hunter2-is-my-secret"
SASL: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "alice",
    "sasl_password": SECRET,
}


def test_without_an_environment_the_defaults_hold() -> None:
    settings = KafkaSettings()

    assert settings.bootstrap_servers == "localhost:9092"
    assert settings.workflow_events_topic == "workflow-events"
    assert settings.workflow_results_topic == "workflow-results"
    assert settings.security_protocol == "PLAINTEXT"


def test_every_field_is_read_from_the_environment_under_one_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "one:9092, two:9093")
    monkeypatch.setenv("KAFKA_WORKFLOW_EVENTS_TOPIC", "team.requests")
    monkeypatch.setenv("KAFKA_TOPIC_PARTITIONS", "12")
    monkeypatch.setenv("KAFKA_COMPRESSION_TYPE", "LZ4")

    settings = KafkaSettings()

    assert settings.bootstrap_servers == "one:9092,two:9093"
    assert settings.workflow_events_topic == "team.requests"
    assert settings.topic_partitions == 12
    assert settings.compression_type == "lz4"


def test_a_dotenv_file_is_read_and_the_environment_wins_over_it(
    empty_working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_working_directory / ".env").write_text(
        "KAFKA_BOOTSTRAP_SERVERS=file:9092\nKAFKA_CLIENT_ID=file\nSOMETHING_ELSE=1\nKAFKA_HEAP_OPTS=-Xmx1g\n"
    )
    monkeypatch.setenv("KAFKA_CLIENT_ID", "environment")

    settings = KafkaSettings()

    assert settings.bootstrap_servers == "file:9092"
    assert settings.client_id == "environment"


def test_a_keyword_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    monkeypatch.setenv("KAFKA_CLIENT_ID", "environment")

    settings = KafkaSettings(bootstrap_servers="argument:9092")

    assert (settings.bootstrap_servers, settings.client_id) == ("argument:9092", "environment")


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "")
    monkeypatch.setenv("KAFKA_TOPIC_PARTITIONS", "")

    assert KafkaSettings().sasl_username is None


def test_equal_settings_are_one_key() -> None:
    first, second = KafkaSettings(**SASL), KafkaSettings(**SASL)

    assert len({first, second, KafkaSettings(**{**SASL, "sasl_password": "other"})}) == 2
    assert pickle.loads(pickle.dumps(first)) == second


def test_settings_cannot_be_changed_but_a_checked_copy_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KafkaSettings(**SASL)
    monkeypatch.setenv("KAFKA_CLIENT_ID", "environment")

    copy = settings.replace(topic_partitions=3)

    assert copy.topic_partitions == 3
    assert copy.sasl_password == SecretStr(SECRET)
    assert copy.client_id == "workflow-events"
    with pytest.raises(ConfigurationError, match="KAFKA_SASL_PASSWORD"):
        settings.replace(sasl_password=None)
    with pytest.raises(ValueError, match="frozen"):
        settings.client_id = "other"  # type: ignore[misc]  # which is the point


def test_the_dead_letter_topic_carries_the_suffix() -> None:
    assert KafkaSettings().dead_letter_topic("workflow-events") == "workflow-events.dlq"
    assert KafkaSettings(dead_letter_suffix="-dead").dead_letter_topic("x") == "x-dead"


@pytest.mark.parametrize(
    "given, named",
    [
        pytest.param({"security_protocol": "SASL_SSL"}, "KAFKA_SASL_MECHANISM", id="sasl-without-a-mechanism"),
        pytest.param({**SASL, "sasl_username": None}, "KAFKA_SASL_USERNAME", id="sasl-without-a-user"),
        pytest.param({**SASL, "sasl_password": ""}, "KAFKA_SASL_PASSWORD", id="sasl-with-an-empty-password"),
        pytest.param({"sasl_username": "alice"}, "KAFKA_SECURITY_PROTOCOL", id="a-user-that-would-not-be-used"),
        pytest.param({"ssl_cafile": "ca.pem"}, "KAFKA_SECURITY_PROTOCOL", id="a-ca-that-would-not-be-used"),
        pytest.param(
            {"ssl_certfile": "c.pem", "security_protocol": "SASL_PLAINTEXT"},
            "KAFKA_SECURITY_PROTOCOL",
            id="a-client-certificate-without-tls",
        ),
        pytest.param(
            {"security_protocol": "SSL", "ssl_keyfile": "key.pem"}, "KAFKA_SSL_CERTFILE", id="key-without-certificate"
        ),
        pytest.param(
            {"security_protocol": "SSL", "ssl_key_password": SECRET},
            "KAFKA_SSL_CERTFILE",
            id="key-password-without-certificate",
        ),
        pytest.param({"security_protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL", id="unknown-protocol"),
        pytest.param({"sasl_mechanism": "GSSAPI"}, "KAFKA_SASL_MECHANISM", id="unsupported-mechanism"),
        pytest.param({"compression_type": "brotli"}, "KAFKA_COMPRESSION_TYPE", id="unknown-compression"),
        pytest.param({"bootstrap_servers": " , "}, "KAFKA_BOOTSTRAP_SERVERS", id="no-broker"),
        pytest.param({"bootstrap_servers": "kafka://x:1"}, "KAFKA_BOOTSTRAP_SERVERS", id="a-url"),
        pytest.param({"bootstrap_servers": "host:99999"}, "KAFKA_BOOTSTRAP_SERVERS", id="a-port-too-high"),
        pytest.param(
            {"bootstrap_servers": f"alice:{SECRET}@x:1"}, "KAFKA_BOOTSTRAP_SERVERS", id="credentials-in-the-address"
        ),
        pytest.param({"workflow_events_topic": "a topic"}, "KAFKA_WORKFLOW_EVENTS_TOPIC", id="no-topic-name"),
        pytest.param(
            {"workflow_events_topic": "same", "workflow_results_topic": "same"},
            "KAFKA_WORKFLOW_RESULTS_TOPIC",
            id="one-topic-for-two",
        ),
        pytest.param({"dead_letter_suffix": "/dead"}, "KAFKA_DEAD_LETTER_SUFFIX", id="no-dead-letter-topic-name"),
        pytest.param(
            {"topic_replication_factor": 1, "topic_min_insync_replicas": 2},
            "KAFKA_TOPIC_MIN_INSYNC_REPLICAS",
            id="more-in-sync-than-there-are",
        ),
        pytest.param({"request_timeout": 0.1}, "KAFKA_REQUEST_TIMEOUT", id="a-hasty-time-out"),
        pytest.param({"topic_partitions": "many"}, "KAFKA_TOPIC_PARTITIONS", id="no-number"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_variable_to_set(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaSettings(**given)

    assert named in str(caught.value)
    assert SECRET not in _everything_said(caught.value)


def test_all_problems_of_sasl_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaSettings(security_protocol="SASL_PLAINTEXT")

    for name in ("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
        assert name in str(caught.value)


def test_a_misspelt_argument_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(ConfigurationError, match=r"'bootstrap_server'.*did you mean 'bootstrap_servers'"):
        KafkaSettings(bootstrap_server="broker:9092")


@pytest.mark.parametrize("servers", ["broker", "broker:9092", "10.0.0.1:9092", "[::1]:9092", "a-b.c_d:1,e:65535"])
def test_brokers_may_be_named_in_all_the_usual_ways(servers: str) -> None:
    assert KafkaSettings(bootstrap_servers=servers).bootstrap_servers == servers


def test_secrets_do_not_show() -> None:
    settings = KafkaSettings(**SASL, ssl_certfile="cert.pem", ssl_key_password=SECRET)

    shown = [
        repr(settings),
        str(settings),
        repr(settings.model_dump()),
        settings.model_dump_json(),
        f"{settings!r:>10}",
    ]

    assert not any(SECRET in text for text in shown)
    assert "alice" in repr(settings)


def test_a_secret_in_the_environment_stays_out_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KAFKA_TOPIC_PARTITIONS", "many")

    with pytest.raises(ConfigurationError) as caught:
        KafkaSettings(security_protocol="SASL_SSL")

    assert SECRET not in _everything_said(caught.value)


def test_inside_another_model_wrong_settings_are_that_model_s_error() -> None:
    class Outer(BaseModel):
        kafka: KafkaSettings

    with pytest.raises(ValueError, match="KAFKA_SASL_MECHANISM"):
        Outer.model_validate({"kafka": {"security_protocol": "SASL_SSL"}})


def _everything_said(error: BaseException) -> str:
    """What a log or an error tracker could get hold of."""
    said: list[str] = []
    link: BaseException | None = error
    while link is not None:
        said += [str(link), repr(link), repr(getattr(link, "__dict__", {}))]
        errors = getattr(link, "errors", None)
        if callable(errors):
            said.append(repr(errors()))
        link = link.__cause__ or link.__context__
    return "\n".join(said)
