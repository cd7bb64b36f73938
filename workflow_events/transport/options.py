"""The settings, as the keyword arguments of aiokafka and of kafka-python."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from workflow_events.errors import ConfigurationError
from workflow_events.transport.secrecy import Redacted, keep_credentials_out_of_logs

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings

__all__ = [
    "aiokafka_options",
    "aiokafka_producer_options",
    "codec_missing",
    "consumer_options",
    "kafka_python_options",
    "kafka_python_producer_options",
    "servers",
    "tls_context",
]

# kafka-python waits this long after a first failed connect and doubles the wait up to the second figure. Its own cap of
# 30 s would sleep through a broker's restart.
_RECONNECT_BACKOFF_MS = 100
_RECONNECT_BACKOFF_MAX_MS = 2_000

_FETCH_BYTES = 1_048_576
# kafka-python's library and aiokafka's.
_CODEC_PACKAGES = {
    "snappy": "python-snappy and cramjam",
    "lz4": "lz4 and cramjam",
    "zstd": "zstandard and cramjam",
}


def servers(settings: KafkaSettings) -> list[str]:
    """The bootstrap servers, one text each."""
    return settings.bootstrap_servers.split(",")


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Connection arguments that aiokafka's clients share."""
    return {
        "bootstrap_servers": servers(settings),
        "client_id": settings.client_id,
        "request_timeout_ms": _ms(settings.request_timeout),
        "metadata_max_age_ms": _ms(settings.metadata_max_age),
        **_security(settings),
    }


def kafka_python_options(settings: KafkaSettings) -> dict[str, Any]:
    """Connection arguments that kafka-python's clients share."""
    return {
        "bootstrap_servers": servers(settings),
        "client_id": settings.client_id,
        "request_timeout_ms": _ms(settings.request_timeout),
        "metadata_max_age_ms": _ms(settings.metadata_max_age),
        "bootstrap_timeout_ms": _ms(settings.connect_timeout),
        "reconnect_backoff_ms": _RECONNECT_BACKOFF_MS,
        "reconnect_backoff_max_ms": _RECONNECT_BACKOFF_MAX_MS,
        **_security(settings),
    }


def aiokafka_producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments of an aiokafka producer whose every message is confirmed by all in-sync replicas."""
    return {
        **aiokafka_options(settings),
        "acks": "all",
        "compression_type": _compression(settings),
        "max_request_size": settings.max_message_bytes,
    }


def kafka_python_producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments of a kafka-python producer whose every message is confirmed by all in-sync replicas.

    ``delivery_timeout_ms`` bounds how long a message that was given up by its publisher may still arrive.
    """
    return {
        **kafka_python_options(settings),
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "compression_type": _compression(settings),
        "max_request_size": settings.max_message_bytes,
        "delivery_timeout_ms": _ms(settings.request_timeout),
        "max_block_ms": _ms(settings.connect_timeout),
    }


def consumer_options(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments of a consumer of either library: no commits of its own, committed messages only.

    A cursor that retention has overtaken goes on at the oldest message that is left.
    """
    return {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": max(_FETCH_BYTES, settings.max_message_bytes),
    }


def codec_missing(settings: KafkaSettings) -> ConfigurationError:
    """What to say when a client lacks the library for the compression that is set."""
    needed = _CODEC_PACKAGES.get(settings.compression_type, "cramjam")
    return ConfigurationError(
        f"Compression {settings.compression_type!r} needs a library that is not installed: install {needed}, or set "
        "KAFKA_COMPRESSION_TYPE to none or gzip."
    )


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """What to trust and what to show in a TLS handshake; None without TLS.

    Raises:
        ConfigurationError: a file is missing or is not what it should be, or the key's password is wrong.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The authorities' certificates cannot be read from ssl_cafile {settings.ssl_cafile!r} ({error}): set "
            "KAFKA_SSL_CAFILE to a PEM file."
        ) from error
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_certfile is not None:
        secret = settings.ssl_key_password
        try:
            # A text rather than None, with which OpenSSL would ask at the terminal and wait.
            context.load_cert_chain(
                settings.ssl_certfile, settings.ssl_keyfile, password=secret.get_secret_value() if secret else ""
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The client certificate cannot be read from ssl_certfile {settings.ssl_certfile!r} and ssl_keyfile "
                f"{settings.ssl_keyfile!r} ({error}): check KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE and "
                "KAFKA_SSL_KEY_PASSWORD."
            ) from error
    return context


def _security(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    context = tls_context(settings)
    if context is not None:
        options["ssl_context"] = context
    if settings.security_protocol.startswith("SASL_") and settings.sasl_password is not None:
        keep_credentials_out_of_logs()
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = Redacted(settings.sasl_password.get_secret_value())
    return options


def _compression(settings: KafkaSettings) -> str | None:
    return None if settings.compression_type == "none" else settings.compression_type


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
