"""An Airflow connection, read as Kafka settings. Pure: it is given the connection's fields.

Two shapes are known. A connection of type ``workflow_events`` has a form of its own (see
:mod:`airflow_integration.provider`): brokers in the host, SASL user and password in login and password, everything else
in ``extra`` by the names of :class:`~workflow_events.settings.KafkaSettings`' fields. A connection of type ``kafka`` is the
Apache Kafka provider's: librdkafka's option names in ``extra``.

Where the cluster is and how to be let in comes from the connection alone; credentials in the environment belong to the
environment's cluster. Topics and the like fall back to the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Connection

    from workflow_events.settings import KafkaSettings

__all__ = ["CONN_TYPE", "DEFAULT_CONN_ID", "KAFKA_CONN_TYPE", "settings_of"]

CONN_TYPE = "workflow_events"
KAFKA_CONN_TYPE = "kafka"
DEFAULT_CONN_ID = "workflow_events_default"

_DEFAULT_PORT = 9092
_NOT_KAFKA = frozenset({"run_url"})
"""Fields of the form that are not Kafka's."""


def settings_of(connection: Connection) -> KafkaSettings:
    """The Kafka settings that a connection holds.

    Raises:
        ConfigurationError: the connection is of another type, names no broker, or holds a value that does not fit; the
            message names the connection and shows no secret.
    """
    problem = None
    try:
        if connection.conn_type == CONN_TYPE:
            return _from_form(connection)
        if connection.conn_type == KAFKA_CONN_TYPE:
            return _from_kafka(connection)
        problem = f"it is of type {connection.conn_type!r}; make one of type {CONN_TYPE!r} or {KAFKA_CONN_TYPE!r}"
    except ConfigurationError as error:
        problem = str(error)
    # Raised outside the handler, so that no traceback carries the connection's fields.
    raise ConfigurationError(f"The Airflow connection {connection.conn_id!r} cannot be used: {problem}")


def _from_form(connection: Connection) -> KafkaSettings:
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415 - DAG files are parsed without it

    extra: Mapping[str, Any] = connection.extra_dejson
    fields = {name: value for name, value in extra.items() if value not in (None, "") and name not in _NOT_KAFKA}
    if connection.login:
        fields["sasl_username"] = connection.login
    if connection.password:
        fields["sasl_password"] = connection.password
    servers = _servers(connection) or fields.pop("bootstrap_servers", None)
    if not servers:
        raise ConfigurationError("It names no broker: put host:port, or several separated by commas, into its host.")
    fields.pop("bootstrap_servers", None)
    return KafkaSettings.from_librdkafka({"bootstrap.servers": servers}, **fields)


def _from_kafka(connection: Connection) -> KafkaSettings:
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415 - DAG files are parsed without it

    extra = connection.extra_dejson
    # The Apache Kafka provider reads nothing but the extra; the host is taken where the extra names no broker.
    if not extra.get("bootstrap.servers") and (servers := _servers(connection)):
        extra = {**extra, "bootstrap.servers": servers}
    return KafkaSettings.from_librdkafka(extra)


def _servers(connection: Connection) -> str | None:
    """The brokers that the host and port name; a host may itself hold several, with their ports."""
    host = (connection.host or "").strip()
    if not host or "," in host or _has_port(host):
        return host or None
    return f"{host}:{connection.port or _DEFAULT_PORT}"


def _has_port(host: str) -> bool:
    """Whether a host ends in a port; an IPv6 address in brackets has colons of its own."""
    return ":" in host.rpartition("]")[2]
