"""What a client's error becomes: the same for both libraries, with the words that help."""

from __future__ import annotations

import ssl
from typing import Any

import aiokafka.errors
import kafka.errors
import pytest

from workflow_events.errors import (
    AccessDeniedError,
    BrokerUnavailableError,
    ConfigurationError,
    DeliveryError,
    MessageTooLargeError,
    TopicNotFoundError,
    TransportError,
    WorkflowEventsError,
)
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio, blocking
from workflow_events.transport.faults import check_partition, translate, undelivered
from workflow_events.wire import OutgoingMessage

SECRET = "hunter2-is-my-secret"
PLAIN = KafkaSettings(bootstrap_servers="broker.example.com:9092", _env_file=None)
SECURE = KafkaSettings(
    bootstrap_servers="broker.example.com:9092",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="alice",
    sasl_password=SECRET,
    _env_file=None,
)

CASES = [
    ("UnknownTopicOrPartitionError", TopicNotFoundError),
    ("LeaderNotAvailableError", BrokerUnavailableError),
    ("NotLeaderForPartitionError", BrokerUnavailableError),
    ("RequestTimedOutError", BrokerUnavailableError),
    ("NotEnoughReplicasError", BrokerUnavailableError),
    ("NotEnoughReplicasAfterAppendError", BrokerUnavailableError),
    ("KafkaConnectionError", BrokerUnavailableError),
    ("KafkaTimeoutError", BrokerUnavailableError),
    ("NodeNotReadyError", BrokerUnavailableError),
    ("NotControllerError", BrokerUnavailableError),
    ("MessageSizeTooLargeError", MessageTooLargeError),
    ("RecordListTooLargeError", MessageTooLargeError),
    ("TopicAuthorizationFailedError", AccessDeniedError),
    ("GroupAuthorizationFailedError", AccessDeniedError),
    ("ClusterAuthorizationFailedError", AccessDeniedError),
    ("UnsupportedSaslMechanismError", AccessDeniedError),
    ("InvalidReplicationFactorError", ConfigurationError),
    ("PolicyViolationError", ConfigurationError),
    ("UnsupportedCodecError", ConfigurationError),
    ("UnsupportedVersionError", TransportError),
    ("UnknownError", TransportError),
]


@pytest.mark.parametrize(
    "library", [pytest.param(aiokafka.errors, id="aio"), pytest.param(kafka.errors, id="blocking")]
)
@pytest.mark.parametrize("name, expected", CASES)
def test_both_libraries_errors_become_the_same_one_of_ours(
    library: Any, name: str, expected: type[WorkflowEventsError]
) -> None:
    found = translate(getattr(library, name)(), action="publish", settings=PLAIN, topic="a-topic", size=10)

    assert type(found) is expected
    assert "broker.example.com:9092" in str(found)
    assert "'a-topic'" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(aiokafka.errors.AuthenticationFailedError("no"), id="aio"),
        pytest.param(aiokafka.errors.SaslAuthenticationFailed("no"), id="aio-broker"),
        pytest.param(kafka.errors.SaslAuthenticationFailedError("no"), id="blocking"),
    ],
)
def test_refused_credentials_name_the_user_and_the_settings_and_no_password(error: Exception) -> None:
    found = translate(error, action="connect", settings=SECURE)

    assert type(found) is AccessDeniedError
    for word in ("'alice'", "SCRAM-SHA-512", "KAFKA_SASL_PASSWORD"):
        assert word in str(found)
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    "action, right", [("publish", "WRITE"), ("read", "READ"), ("create a topic", "CREATE"), ("describe", "DESCRIBE")]
)
def test_a_missing_right_is_named_with_the_topic(action: str, right: str) -> None:
    found = translate(
        kafka.errors.TopicAuthorizationFailedError(), action=action, settings=SECURE, topic="workflow-events"
    )

    assert f"{right}" in str(found)
    assert "'workflow-events'" in str(found)
    assert "'alice'" in str(found)


def test_too_large_a_message_is_told_its_size_the_limit_and_the_setting() -> None:
    found = translate(
        kafka.errors.MessageSizeTooLargeError(), action="publish", settings=PLAIN, topic="t", size=2_000_000
    )

    for word in ("2,000,000", "1,048,576", "KAFKA_MAX_MESSAGE_BYTES", "max.message.bytes"):
        assert word in str(found)


def test_an_unknown_topic_is_told_how_to_make_it() -> None:
    found = translate(kafka.errors.UnknownTopicOrPartitionError(), action="publish", settings=PLAIN, topic="t")

    assert "workflow-events topics create" in str(found)


def test_with_tls_a_lost_connection_points_at_the_listener_and_the_authority() -> None:
    found = translate(ssl.SSLError("handshake"), action="connect", settings=SECURE)

    assert type(found) is BrokerUnavailableError
    for word in ("SASL_SSL", "KAFKA_SSL_CAFILE", "SCRAM-SHA-512"):
        assert word in str(found)


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "refused"), TimeoutError()])
def test_the_operating_system_s_errors_are_retryable(error: OSError) -> None:
    found = translate(error, action="connect", settings=PLAIN)

    assert isinstance(found, BrokerUnavailableError)
    assert found.retryable


def test_an_error_number_of_the_operating_system_is_no_code_of_kafka_s() -> None:
    errno_of_a_missing_process = OSError(3, "No such process")

    assert type(translate(errno_of_a_missing_process, action="connect", settings=PLAIN)) is BrokerUnavailableError


def test_a_long_reason_is_cut() -> None:
    found = translate(kafka.errors.UnknownError("x" * 10_000), action="publish", settings=PLAIN)

    assert len(str(found)) < 500


def test_what_may_still_arrive_says_so() -> None:
    found = undelivered(PLAIN, "a-topic", 1.5)

    assert isinstance(found, DeliveryError)
    assert not found.retryable
    for word in ("'a-topic'", "1.5 s", "may still arrive"):
        assert word in str(found)


@pytest.mark.parametrize(
    "transport, error", [(aio, aiokafka.errors), (blocking, kafka.errors)], ids=["aio", "blocking"]
)
def test_errors_are_mapped_with_their_cause_and_ours_pass_as_they_are(transport: Any, error: Any) -> None:
    foreign = error.LeaderNotAvailableError()
    with pytest.raises(BrokerUnavailableError) as caught, transport.map_errors(PLAIN, "read", topic="t"):
        raise foreign
    assert caught.value.__cause__ is foreign

    ours = TopicNotFoundError("as it is")
    with pytest.raises(TopicNotFoundError) as passed, transport.map_errors(PLAIN, "read"):
        raise ours
    assert passed.value is ours


@pytest.mark.parametrize("transport", [aio, blocking], ids=["aio", "blocking"])
def test_a_mistake_in_the_code_is_not_taken_for_a_fault_of_kafka_s(transport: Any) -> None:
    with pytest.raises(KeyError), transport.map_errors(PLAIN, "read"):
        raise KeyError("a mistake")


def test_a_partition_that_a_topic_lacks_is_refused() -> None:
    check_partition(PLAIN, OutgoingMessage("t", b"", partition=1), {0, 1})
    check_partition(PLAIN, OutgoingMessage("t", b""), {0, 1})

    with pytest.raises(TopicNotFoundError, match="no partition 2, it has 2"):
        check_partition(PLAIN, OutgoingMessage("t", b"", partition=2), {0, 1})
