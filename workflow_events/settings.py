"""Every Kafka option of the SDK, read once: from the environment, from ``.env``, or from keyword arguments.

No other module declares a Kafka option. A module that needs a client asks :meth:`KafkaSettings.for_aiokafka` or
:meth:`KafkaSettings.for_kafka_python` for its keyword arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workflow_events.environment_settings import EnvironmentSettings
from workflow_events.settings_checks import (
    PREFIX,
    TOPIC_NAME,
    check_api_url,
    check_header_value,
    check_store_url,
    contradictions,
)
from workflow_events.signing_keys import parse_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KafkaSettings"]

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
CompressionType = Literal["none", "gzip", "snappy", "lz4", "zstd"]

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\],]+)(:(?P<port>\d{1,5}))?")
_DAY = 86_400.0


class KafkaSettings(EnvironmentSettings):
    """Where the cluster is, how to be let in, and how the SDK's topics are named and made.

    Every field is read from the environment as its name in capitals with the prefix ``KAFKA_``, so
    ``bootstrap_servers`` from ``KAFKA_BOOTSTRAP_SERVERS``; then from a file ``.env`` in the working directory. A keyword
    argument wins over both. An empty variable counts as absent. Instances are frozen and hashable, so that readers and
    producers can be shared by settings. Durations are in seconds, sizes in bytes. Secrets stay out of ``repr`` and of
    every message.

    Raises:
        ConfigurationError: a value is missing, malformed or contradicts another; the message names the variables and
            says what to set, and shows no secret.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        str_strip_whitespace=True,
    )
    what: ClassVar[str] = "the Kafka settings"

    bootstrap_servers: str = Field(
        default="localhost:9092", description="Brokers to ask first, as host:port, separated by commas."
    )
    client_id: str = Field(
        default="workflow-events", min_length=1, description="The name that brokers log and put quotas on."
    )

    security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_mechanism: SaslMechanism | None = Field(
        default=None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; needed with a SASL protocol."
    )
    sasl_username: str | None = Field(default=None, description="User for SASL.")
    sasl_password: SecretStr | None = Field(default=None, description="Password for SASL.")
    ssl_cafile: str | None = Field(
        default=None, description="PEM file of the authorities to trust; absent: the system's."
    )
    ssl_certfile: str | None = Field(default=None, description="PEM file of the client certificate (mutual TLS).")
    ssl_keyfile: str | None = Field(
        default=None, description="PEM file of the client key; absent: the key is in the certificate's file."
    )
    ssl_key_password: SecretStr | None = Field(default=None, description="Password of the client key.")
    ssl_check_hostname: bool = Field(
        default=True, description="Whether the broker's certificate must name the host that was dialled."
    )

    compression_type: CompressionType = Field(
        default="none", description="Compression of what is published: none, gzip, snappy, lz4 or zstd."
    )
    connect_timeout: float = Field(
        default=10.0, gt=0, le=600, description="How long to keep trying to reach a first broker, in seconds."
    )
    request_timeout: float = Field(
        default=30.0, ge=1, le=300, description="How long to wait for a broker's answer to one request, in seconds."
    )
    metadata_max_age: float = Field(
        default=300.0, gt=0, description="How long to trust the list of brokers, topics and leaders, in seconds."
    )
    max_message_bytes: int = Field(
        default=1_048_576, ge=1024, description="The largest message to publish or to create topics for, in bytes."
    )
    max_read_bytes: int = Field(
        default=10_485_760,
        ge=1024,
        description="The largest message value that is read, in bytes. A larger request goes to the dead-letter topic, "
        "and anything else that is larger is ignored and counted.",
    )

    workflow_events_topic: str = Field(default="workflow-events", description="Topic of requests.")
    workflow_results_topic: str = Field(default="workflow-results", description="Topic of results.")
    workflow_progress_topic: str = Field(default="workflow-progress", description="Topic of progress events.")
    workflow_control_topic: str = Field(default="workflow-control", description="Topic of cancel and resume events.")
    workflow_worker_group: str = Field(
        default="langgraph-workers",
        min_length=1,
        description="The workers' consumer group, which an error names when no worker took a request.",
    )
    dead_letter_suffix: str = Field(
        default=".dlq", min_length=1, description="What a topic's dead-letter topic has after the topic's name."
    )
    topic_partitions: int = Field(default=6, ge=1, description="Partitions of a topic that the SDK creates.")
    topic_replication_factor: int | None = Field(
        default=None, ge=1, description="Replicas of a topic that the SDK creates; absent: the broker's default."
    )
    topic_retention: float = Field(
        default=7 * _DAY, gt=0, description="How long a topic that the SDK creates keeps messages, in seconds."
    )
    topic_min_insync_replicas: int | None = Field(
        default=None, ge=1, description="Replicas that must have a message before it counts; absent: the broker's."
    )

    look_back: float = Field(
        default=_DAY, gt=0, description="How far back to look for the result of an id that carries no time, in seconds."
    )
    clock_margin: float = Field(
        default=300.0, ge=0, description="How far clocks may disagree when a place is looked up by time, in seconds."
    )

    signing_keys: SecretStr | None = Field(
        default=None,
        description="Keys of the messages' signatures, as id:base64key,id2:base64key2; the first signs, all verify. Absent: "
        "nothing is signed, and everything is taken as it comes.",
    )
    claim_check_store: str | None = Field(
        default=None,
        description="Where large payloads are put: a folder, or a URL such as s3://bucket/prefix. Absent: nowhere.",
    )
    claim_check_threshold: int = Field(
        default=262_144,
        ge=0,
        description="Size of a message above which its payload is put into that store, in bytes.",
    )
    claim_check_max_bytes: int = Field(
        default=268_435_456, ge=1024, description="The largest payload to put there or to take from there, in bytes."
    )
    claim_check_retention: float = Field(
        default=7 * _DAY, gt=0, description="How long a payload that is put there can be taken, in seconds."
    )

    result_store_url: str | None = Field(
        default=None,
        description="The result store's API, as https://host:port. Waiters ask it for results that the topic keeps no longer, "
        "and `workflow-events explain` what it knows. Absent: nobody is asked.",
    )
    result_store_api_key: SecretStr | None = Field(
        default=None, description="The key that lets this process ask the result store."
    )
    result_store_service: str | None = Field(
        default=None, description="The service that the key was made for, as `result-store keys create` was told."
    )

    @classmethod
    def from_librdkafka(cls, config: Mapping[str, Any], **overrides: Any) -> Self:
        """Settings from librdkafka's option names, the shape of an Airflow connection of type ``kafka``.

        Where the cluster is and how to be let in comes from ``config`` and ``overrides`` alone: the environment's
        credentials belong to the environment's cluster. Topics, retention and the like still come from the environment.

        Args:
            config: such as ``{"bootstrap.servers": "broker:9092", "security.protocol": "SASL_SSL", ...}``. Options of
                librdkafka that mean nothing here, such as ``group.id``, are left out with a debug log.
            **overrides: fields of this class; they win over ``config``.

        Raises:
            ConfigurationError: ``bootstrap.servers`` is missing, or a security feature is asked for that the SDK lacks
                (Kerberos, OAuth, key stores, certificates in the text).
        """
        from workflow_events.librdkafka import settings_from  # noqa: PLC0415 - most processes never need it

        return cls(**settings_from(config, overrides, cls.model_fields))

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, checked as a whole; the environment is not read again.

        Raises:
            ConfigurationError: the values do not fit together.
        """
        return type(self)(**{**dict(self), **changes})

    def dead_letter_topic(self, topic: str) -> str:
        """The topic that takes what cannot be processed from ``topic``."""
        return f"{topic}{self.dead_letter_suffix}"

    def for_aiokafka(self) -> dict[str, Any]:
        """Connection arguments that aiokafka's producer and consumer share.

        Raises:
            ConfigurationError: a certificate or key file cannot be used.
        """
        from workflow_events.transport.options import aiokafka_options  # noqa: PLC0415 - breaks a cycle

        return aiokafka_options(self)

    def for_kafka_python(self) -> dict[str, Any]:
        """Connection arguments that kafka-python's producer, consumer and admin client share.

        Raises:
            ConfigurationError: a certificate or key file cannot be used.
        """
        from workflow_events.transport.options import kafka_python_options  # noqa: PLC0415 - breaks a cycle

        return kafka_python_options(self)

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("compression_type", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("bootstrap_servers")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        servers = [server.strip() for server in value.split(",") if server.strip()]
        if not servers:
            raise ValueError("name at least one broker, as host:port")
        for server in servers:
            if "@" in server:  # shaped like user:password@host, so it is not repeated
                raise ValueError("a broker is named as host:port; user and password have settings of their own")
            found = _HOST_AND_PORT.fullmatch(server)
            if found is None or not 0 < int(found["port"] or 9092) < 65536:
                raise ValueError(f"{server!r} is not host:port; several brokers are separated by commas")
        return ",".join(servers)

    @field_validator(
        "workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic"
    )
    @classmethod
    def _topic_name(cls, value: str) -> str:
        if value in {".", ".."} or not TOPIC_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no topic name: Kafka takes 1 to 249 letters, digits, '.', '_' and '-'")
        return value

    @field_validator("signing_keys")
    @classmethod
    def _keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_keys(value.get_secret_value())
        return value

    @field_validator("claim_check_store")
    @classmethod
    def _store(cls, value: str | None) -> str | None:
        if value is not None:
            check_store_url(value)
        return value

    @field_validator("result_store_url")
    @classmethod
    def _api(cls, value: str | None) -> str | None:
        return None if value is None else check_api_url(value)

    @field_validator("result_store_api_key", "result_store_service")
    @classmethod
    def _in_a_header(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        if value is not None:
            check_header_value(value.get_secret_value() if isinstance(value, SecretStr) else value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = contradictions(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self
