"""What a Kafka client's error means to us: the one table for aiokafka and kafka-python alike.

Both libraries give a broker's errors the protocol's error code as ``errno``, and name their own errors alike. So the table
needs neither of them, and says the same whichever client ran into the fault.
The codes: https://kafka.apache.org/protocol#protocol_error_codes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

if TYPE_CHECKING:
    from collections.abc import Collection

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["check_partition", "translate", "undelivered", "unflushed"]

_UNKNOWN_TOPIC = frozenset({3, 100})
_TOO_LARGE = frozenset({10, 18})
_NOT_AUTHENTICATED = frozenset({33, 34, 58})
_NOT_AUTHORIZED = {29: "topic", 30: "group", 31: "cluster", 53: "transactional id"}
_TOO_FEW_REPLICAS = frozenset({19, 20})
_BAD_TOPIC_SETTING = {
    37: "Set KAFKA_TOPIC_PARTITIONS to a number that the cluster takes.",
    38: "Set KAFKA_TOPIC_REPLICATION_FACTOR to no more than the number of brokers.",
    40: "Check KAFKA_TOPIC_RETENTION, KAFKA_TOPIC_MIN_INSYNC_REPLICAS and KAFKA_MAX_MESSAGE_BYTES.",
    44: "The cluster's policy refuses such a topic: ask whoever runs the cluster, or have them create it.",
}
# Leader moves, restarts, coordinators not yet loaded, throttling, storage: another try may find things in order.
_PASSING = frozenset({5, 6, 7, 8, 9, 13, 14, 15, 16, 41, 51, 56, 72, 74, 75, 77, 78, 80, 83, 84, 89})

_RIGHTS = {"publish": "WRITE and DESCRIBE", "create": "CREATE", "describe": "DESCRIBE", "compare": "DESCRIBE_CONFIGS"}
"""On a topic, by what was tried; else to read it."""

_PASSING_NAMES = frozenset(
    {
        "Cancelled",
        "InvalidReceiveError",  # no Kafka speaks there, or a Kafka that expects TLS
        "KafkaConnectionError",
        "KafkaTimeoutError",
        "KafkaUnavailableError",
        "MetadataEmptyBrokerList",
        "NoBrokersAvailable",
        "NodeNotReadyError",
        "StaleMetadata",
        "TooManyInFlightRequests",
        "UnknownBrokerIdError",
    }
)
_NOT_AUTHENTICATED_NAMES = frozenset({"AuthenticationFailedError", "AuthenticationMethodNotSupported"})
_CODEC_NAMES = frozenset({"UnsupportedCodecError"})
_LONGEST_REASON = 300

_CHECK_REPLICAS: Final = (
    "Too few replicas are in sync: check the health of the brokers against the topic's min.insync.replicas."
)


def translate(  # noqa: PLR0911 - a table, one line for each kind of fault
    error: BaseException,
    *,
    action: str,
    settings: KafkaSettings,
    topic: str | None = None,
    size: int | None = None,
) -> WorkflowEventsError:
    """The error of our tree for a client's error.

    Args:
        error: what the client raised.
        action: what was tried, to follow "Cannot", such as ``"publish"``.
        settings: names the cluster in the message and the credentials' user, never a secret.
        topic: the topic concerned, if one was.
        size: bytes of the message concerned, if one was.
    """
    where = f"Cannot {action}{f' (topic {topic!r})' if topic else ''} at {settings.bootstrap_servers}"
    code = getattr(error, "errno", None) if not isinstance(error, OSError) else None
    name = type(error).__name__
    if code in _UNKNOWN_TOPIC:
        return TopicNotFoundError(
            f"{where}: the topic does not exist. Create it with `workflow-events topics create`, or check the topic's name."
        )
    if code in _TOO_LARGE or name == "RecordTooLargeError":
        return MessageTooLargeError(_too_large(where, settings, size))
    if code in _NOT_AUTHENTICATED or name in _NOT_AUTHENTICATED_NAMES:
        return AccessDeniedError(_not_authenticated(where, settings, error))
    if code in _NOT_AUTHORIZED:
        return AccessDeniedError(_not_authorized(where, settings, error, _NOT_AUTHORIZED[code], topic, action))
    if code in _BAD_TOPIC_SETTING:
        return ConfigurationError(f"{where}: {_reason(error)}. {_BAD_TOPIC_SETTING[code]}")
    if name in _CODEC_NAMES:
        return ConfigurationError(
            f"{where}: {_reason(error)}. The messages are compressed with a codec that is not installed here."
        )
    if code in _TOO_FEW_REPLICAS:
        return BrokerUnavailableError(f"{where}: {_reason(error)}. {_CHECK_REPLICAS}")
    passing = code in _PASSING or name in _PASSING_NAMES or isinstance(error, OSError | TimeoutError)
    if passing or getattr(error, "retriable", False):
        return BrokerUnavailableError(f"{where}: {_reason(error)}. {_check_connection(settings)}")
    return TransportError(f"{where}: {_reason(error)}.")


def check_partition(settings: KafkaSettings, message: OutgoingMessage, partitions: Collection[int]) -> None:
    """Refuses a message for a partition that its topic lacks, such as a requester's return address may name.

    Raises:
        TopicNotFoundError: there is no such partition.
    """
    if message.partition is not None and message.partition not in partitions:
        raise TopicNotFoundError(
            f"Cannot publish (topic {message.topic!r}) at {settings.bootstrap_servers}: the topic has no partition "
            f"{message.partition}, it has {len(partitions)}. Check the return address of whoever asked."
        )


def undelivered(settings: KafkaSettings, topic: str, timeout: float) -> DeliveryError:
    """The error for a message whose confirmation did not come within ``timeout`` seconds."""
    return DeliveryError(
        f"Cannot confirm that the message was stored (topic {topic!r}) at {settings.bootstrap_servers}: no answer within "
        f"{timeout:.3g} s. It may still arrive within {settings.request_timeout:g} s. Check that the brokers run, and that the "
        "topic's partitions have leaders and enough replicas in sync."
    )


def unflushed(settings: KafkaSettings, timeout: float) -> DeliveryError:
    """The error for messages that were still under way after ``timeout`` seconds."""
    return DeliveryError(
        f"Cannot confirm that all messages were stored at {settings.bootstrap_servers}: some were still under way after "
        f"{timeout:.3g} s. {_check_connection(settings)}"
    )


def _too_large(where: str, settings: KafkaSettings, size: int | None) -> str:
    given = f"of {size:,} bytes " if size is not None else ""
    return (
        f"{where}: the message {given}is too large. This client's limit is {settings.max_message_bytes:,} bytes: send less "
        "(a reference instead of the data), or raise KAFKA_MAX_MESSAGE_BYTES together with the topic's max.message.bytes."
    )


def _not_authenticated(where: str, settings: KafkaSettings, error: BaseException) -> str:
    return (
        f"{where}: the broker refused the credentials of {_principal(settings)} by {settings.sasl_mechanism} "
        f"({_reason(error)}). Check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
    )


def _not_authorized(
    where: str, settings: KafkaSettings, error: BaseException, kind: str, topic: str | None, action: str
) -> str:
    verb = action.split(maxsplit=1)[0]
    if kind == "topic":
        right = _RIGHTS.get(verb, "READ and DESCRIBE")
        grant = f"{right} on topic {topic!r}" if topic else f"{right} on the workflow topics"
    elif kind == "group":
        named = next((f" {argument!r}" for argument in error.args if isinstance(argument, str) and argument), "")
        grant = f"READ on the consumer group{named}"
    elif kind == "cluster":
        grant = "CREATE on the cluster" if verb == "create" else "IDEMPOTENT_WRITE on the cluster"
    else:
        named = next((f" {argument!r}" for argument in error.args if isinstance(argument, str) and argument), "")
        grant = f"WRITE and DESCRIBE on the transactional id{named}, by its prefix"
    return f"{where}: {_principal(settings)} is not allowed to. Grant it {grant}."


def _principal(settings: KafkaSettings) -> str:
    if settings.sasl_username:
        return f"user {settings.sasl_username!r}"
    return "the client certificate's name" if settings.ssl_certfile else "the anonymous user"


def _check_connection(settings: KafkaSettings) -> str:
    listener: str = settings.security_protocol
    if listener.startswith("SASL_"):
        listener += f" with {settings.sasl_mechanism}"
    advice = (
        "Check that KAFKA_BOOTSTRAP_SERVERS names running brokers, that this host can reach them, and that they take "
        f"{listener} there"
    )
    if settings.security_protocol.endswith("SSL"):
        advice += " with a certificate whose authority is in KAFKA_SSL_CAFILE"
    return f"{advice}."


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    name = type(error).__name__
    if not text or text == name:
        return name
    shown = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
    return shown if name in shown else f"{name}: {shown}"
