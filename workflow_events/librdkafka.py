"""librdkafka's option names, translated into fields of the settings.

Airflow's Apache Kafka provider keeps them in a connection's ``extra``. The list of options:
https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

__all__ = ["settings_from"]

logger = logging.getLogger(__name__)

_TEXTS = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "client.id": "client_id",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_key_password",
    "compression.type": "compression_type",
    "compression.codec": "compression_type",
    "message.max.bytes": "max_message_bytes",
}
_MILLISECONDS = {
    "request.timeout.ms": "request_timeout",
    "socket.timeout.ms": "request_timeout",
    "socket.connection.setup.timeout.ms": "connect_timeout",
    "metadata.max.age.ms": "metadata_max_age",
    "topic.metadata.refresh.interval.ms": "metadata_max_age",
}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_CHECK_HOSTNAME = "ssl.endpoint.identification.algorithm"
_CHECK_CERTIFICATE = "enable.ssl.certificate.verification"

_OF_ONE_STORE = ("result_store_api_key", "result_store_service")
"""Where the given options name a result store, the environment's key is not sent there."""

# Taken from the given options alone, never from the environment (see KafkaSettings.from_librdkafka).
_OF_ONE_CLUSTER = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_key_password",
    "ssl_check_hostname",
)


def settings_from(
    config: Mapping[str, Any], overrides: Mapping[str, Any], fields: Mapping[str, FieldInfo]
) -> dict[str, Any]:
    """The keyword arguments for the settings class.

    Args:
        config: options by librdkafka's names; None and empty texts count as absent.
        overrides: fields of the settings class; they win.
        fields: the fields of the settings class, for their defaults.

    Raises:
        ConfigurationError: no broker is named, or a security feature is asked for that the SDK lacks.
    """
    found: dict[str, Any] = {}
    for option, value in config.items():
        if value is None or value == "":
            continue
        if option in _TEXTS:
            found[_TEXTS[option]] = value
        elif option in _MILLISECONDS:
            found[_MILLISECONDS[option]] = _seconds(option, value)
        elif option == _CHECK_HOSTNAME:
            found["ssl_check_hostname"] = str(value).lower() != "none"
        else:
            _leave_out(option, value)
    _refuse_mechanism(found, {**found, **overrides})
    alone = (*_OF_ONE_CLUSTER, *(_OF_ONE_STORE if "result_store_url" in overrides else ()))
    given = {name: fields[name].default for name in alone} | found | dict(overrides)
    if "bootstrap_servers" not in given:
        raise ConfigurationError('The Kafka options name no broker: set "bootstrap.servers", such as "broker:9092".')
    return given


def _seconds(option: str, value: object) -> float:
    try:
        return float(str(value)) / 1000
    except ValueError:
        raise ConfigurationError(f'The Kafka option "{option}" must be a number of milliseconds.') from None


def _leave_out(option: str, value: object) -> None:
    if option == _CHECK_CERTIFICATE:
        if str(value).lower() in {"true", "1"}:
            return
        raise ConfigurationError(
            f'The Kafka option "{option}" cannot be switched off here: a broker\'s certificate is always checked. '
            'Name the authority that signed it in "ssl.ca.location".'
        )
    if option.startswith(("sasl.", "ssl.")) or option in {"oauth_cb", "enable.sasl.oauthbearer.unsecure.jwt"}:
        raise ConfigurationError(
            f'The Kafka option "{option}" is not supported. Supported are SASL {", ".join(_MECHANISMS)} with '
            '"sasl.username" and "sasl.password", and TLS with "ssl.ca.location", "ssl.certificate.location", '
            '"ssl.key.location" and "ssl.key.password".'
        )
    logger.debug("The Kafka option %r means nothing to workflow-events and is left out.", option)


def _refuse_mechanism(found: Mapping[str, Any], effective: Mapping[str, Any]) -> None:
    protocol = str(effective.get("security_protocol", "")).upper()
    mechanism = effective.get("sasl_mechanism")
    if not protocol.startswith("SASL_"):
        return
    if mechanism is None:
        raise ConfigurationError(
            f'"security.protocol" is {protocol}, and "sasl.mechanism" is missing, which means GSSAPI (Kerberos) to '
            f"librdkafka. That is not supported: set it to {', '.join(_MECHANISMS)}."
        )
    if str(mechanism).upper() not in _MECHANISMS and found.get("sasl_mechanism") == mechanism:
        raise ConfigurationError(
            f'"sasl.mechanism" is {mechanism!r}, which is not supported: set it to {", ".join(_MECHANISMS)}.'
        )
