"""Every option of the result store that is not Kafka's, read once: from the environment, ``.env``, or keyword arguments."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workflow_events.environment_settings import EnvironmentSettings
from workflow_events.settings_checks import TOPIC_NAME, check_store_url

__all__ = ["PREFIX", "StoreSettings", "variable"]

PREFIX: Final = "RESULT_STORE_"

_DATABASES: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_REDIS: Final = ("redis://", "rediss://", "unix://")
_CLICKHOUSE: Final = ("http://", "https://", "clickhouse://", "clickhouses://", "chdb://")


def variable(name: str) -> str:
    """The environment's name of a setting."""
    return f"{PREFIX}{name.upper()}"


class StoreSettings(EnvironmentSettings):
    """How results are kept and asked for.

    Every field is read from the environment as its name in capitals with the prefix ``RESULT_STORE_``, so ``database_url``
    from ``RESULT_STORE_DATABASE_URL``; then from a file ``.env`` in the working directory. A keyword argument wins over both.
    Durations are in seconds, sizes in bytes. Secrets stay out of ``repr`` and of every message.

    Raises:
        ConfigurationError: a value does not hold; the message names the variables and shows no secret.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        str_strip_whitespace=True,
    )
    what: ClassVar[str] = "the result store's settings"

    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///result-store.db"),
        description="Where rows are kept: sqlite:///path or postgresql://user:password@host/database.",
    )
    database_connections: int = Field(
        default=10, ge=1, le=1000, description="The most connections of one process to PostgreSQL."
    )
    archive: str = Field(
        default="result-archive",
        description="Where whole messages are kept: a folder, or a URL such as s3://bucket/prefix; none: nowhere.",
    )
    inline_result_bytes: int = Field(
        default=262_144,
        ge=0,
        description="The largest result that is kept in its row too, in bytes of JSON; a larger one is in the archive alone.",
    )
    redis_url: SecretStr | None = Field(
        default=None, description="The cache that processes share, as redis://host:port/0. Absent: each has its own."
    )
    cache_ttl: float = Field(default=300.0, ge=0, description="How long an answer is kept in the cache, in seconds.")
    cache_entries: int = Field(
        default=10_000, ge=1, description="The most answers that a process's own cache keeps; the oldest go first."
    )
    clickhouse_url: SecretStr | None = Field(
        default=None,
        description="The scale-out database of the analytics, as http://user:password@host:8123/database. Absent: the "
        "questions are answered by the database above.",
    )

    group_id: str = Field(default="result-store", min_length=1, description="The processors' consumer group.")
    processors: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many processes store, each a member of the group. With 1 it is the process that serves the API, too; "
        "with more, that one watches over them. As many as there are cores to spare, and no more than a topic has partitions.",
    )
    batch_size: int = Field(default=1000, ge=1, le=100_000, description="The most messages that are stored together.")
    poll_interval: float = Field(
        default=1.0, gt=0, le=60, description="How long to wait for a batch to fill, in seconds, once it has a message."
    )
    session_timeout: float = Field(
        default=20.0,
        ge=1,
        le=1800,
        description="How long a processor may be silent before the group takes it for dead, in seconds. Kafka's brokers take "
        "6 or more unless they are told otherwise.",
    )
    stored_topic: str = Field(
        default="workflow-results-stored", description="Topic of workflow.result_stored events, for live views."
    )

    api_host: str = Field(default="127.0.0.1", description="Address of the API and the page.")
    api_port: int = Field(default=8810, ge=0, le=65535, description="Port of the API and the page; 0: any free one.")
    metrics_host: str = Field(default="127.0.0.1", description="Address of the metrics.")
    metrics_port: int | None = Field(
        default=9810,
        ge=0,
        le=65535,
        description="Port of the metrics; 0: any free one. RESULT_STORE_METRICS=false: none.",
    )
    metrics: bool = Field(default=True, description="Whether to serve metrics.")
    auth: Literal["keys", "none"] = Field(
        default="keys",
        description="Who may ask: those with a key, or everybody. The latter only on an address of this machine.",
    )
    services: str = Field(
        default="",
        description="The services that may ask, as X-Service-ID names them, separated by commas. Empty: every one that has "
        "a key.",
    )
    rate_limit: str = Field(
        default="1200/minute", description="How often one key may ask, such as 20/second; none: as often as it likes."
    )
    session_lifetime: float = Field(
        default=43_200.0, gt=0, description="How long a sign-in at the page lasts, in seconds."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="How the command logs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What it logs.")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition("://")[0]
        if scheme not in _DATABASES and scheme not in _DATABASES.values():
            raise ValueError("name sqlite:///path or postgresql://user:password@host/database")
        return value

    @field_validator("archive")
    @classmethod
    def _known_store(cls, value: str) -> str:
        check_store_url(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_cache(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(_REDIS):
            raise ValueError(f"name a URL that begins with {', '.join(_REDIS)}")
        return value

    @field_validator("clickhouse_url")
    @classmethod
    def _known_analytics(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(_CLICKHOUSE):
            raise ValueError(f"name a URL that begins with {', '.join(_CLICKHOUSE)}")
        return value

    @field_validator("stored_topic")
    @classmethod
    def _topic_name(cls, value: str) -> str:
        if value in {".", ".."} or not TOPIC_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no topic name: Kafka takes 1 to 249 letters, digits, '.', '_' and '-'")
        return value

    @model_validator(mode="after")
    def _open_only_here(self) -> Self:
        if self.auth == "none" and not _is_loopback(self.api_host):
            raise ValueError(
                f"{variable('auth')}=none would let everybody who reaches {self.api_host} read all results: set "
                f"{variable('api_host')} to 127.0.0.1, or {variable('auth')} to keys"
            )
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        clickhouse = self.clickhouse_url
        if self.processors > 1 and clickhouse is not None and clickhouse.get_secret_value().startswith("chdb://"):
            raise ValueError(
                f"chdb is a database of one process: set {variable('processors')} to 1, or {variable('clickhouse_url')} to a "
                "ClickHouse server"
            )
        return self

    @property
    def async_database_url(self) -> str:
        """The database's URL as SQLAlchemy's asyncio engine takes it. It may hold a password."""
        scheme, separator, rest = self.database_url.get_secret_value().partition("://")
        return f"{_DATABASES.get(scheme, scheme)}{separator}{rest}"

    @property
    def is_postgresql(self) -> bool:
        """Whether rows are kept in PostgreSQL; else they are in SQLite."""
        return self.async_database_url.startswith("postgresql")

    @property
    def archives(self) -> bool:
        """Whether whole messages are kept."""
        return self.archive != "none"

    @property
    def allowed_services(self) -> frozenset[str]:
        """The services that may ask; empty: every one that has a key."""
        return frozenset(name.strip() for name in self.services.split(",") if name.strip())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
