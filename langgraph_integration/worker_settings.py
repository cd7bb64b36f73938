"""Every option of a worker that is not Kafka's, read once: from the environment, from ``.env``, or from keyword arguments."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from langgraph_integration.checkpointers import check_url
from langgraph_integration.error_policy import ErrorPolicy, load_judge, split_names
from workflow_events.environment_settings import EnvironmentSettings

__all__ = ["WorkerSettings"]

_PREFIX = "WORKFLOW_WORKER_"


class WorkerSettings(EnvironmentSettings):
    """How a worker runs graphs.

    Every field is read from the environment as its name in capitals with the prefix ``WORKFLOW_WORKER_``, so
    ``concurrency`` from ``WORKFLOW_WORKER_CONCURRENCY``; then from a file ``.env`` in the working directory. A keyword
    argument wins over both. Durations are in seconds.

    Raises:
        ConfigurationError: a value does not hold; the message names the variables and shows no secret.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=_PREFIX,
    )
    what: ClassVar[str] = "the worker's settings"

    group_id: str = Field(
        default="langgraph-workers", min_length=1, description="The consumer group that shares the requests."
    )
    concurrency: int = Field(default=16, ge=1, le=10_000, description="Runs at the same time in one worker.")
    run_timeout: float | None = Field(
        default=None, gt=0, description="How long one run may take, in seconds; absent: no limit."
    )
    recursion_limit: int | None = Field(
        default=None, ge=1, description="Supersteps that one run may take; absent: the graph's own, or LangGraph's."
    )
    checkpointer: SecretStr = Field(
        default=SecretStr("none"),
        description="Where runs are checkpointed: none, sqlite:///path or postgresql://user:password@host/database.",
    )
    checkpointer_connections: int = Field(
        default=10, ge=2, le=1000, description="The most connections of the PostgreSQL checkpointer's pool."
    )
    drain_timeout: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long runs may take to end when the worker stops, in seconds; what is left is handed back.",
    )
    rebalance_timeout: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="How long runs may take to end when the group moves their partition, in seconds; what is left is "
        "handed back. The whole group waits for that long.",
    )
    session_timeout: float = Field(
        default=20.0,
        ge=1,
        le=1800,
        description="How long a worker may be silent before the group takes it for dead, in seconds. Kafka's brokers take "
        "6 or more unless they are told otherwise.",
    )
    max_uncommitted: int = Field(
        default=1000,
        ge=1,
        description="Ended requests of one partition that may wait for an earlier one before the partition pauses.",
    )
    transactions: bool = Field(
        default=True,
        description="Whether a result and its request's offset are committed in one transaction, where the broker has "
        "transactions; else the result first, the offset after it.",
    )
    progress: bool = Field(
        default=True,
        description="Whether to tell the progress topic what becomes of requests: accepted, nodes, the graph's own stream, "
        "heartbeats.",
    )
    heartbeat_interval: float = Field(
        default=5.0, ge=0.1, le=3600, description="Seconds between two heartbeats of a request on the progress topic."
    )
    cancel_look_back: float = Field(
        default=3600.0,
        ge=0,
        le=604_800,
        description="How far back a worker that starts reads cancels, in seconds: for those whose request comes later.",
    )
    max_crashes: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="Workers that a request may crash before it goes to the dead-letter topic; 0: any number.",
    )
    retryable_errors: str = Field(
        default="",
        description="Exceptions that are worth another try, as qualified class names separated by commas, such as "
        "openai.RateLimitError; classes derived from them too.",
    )
    permanent_errors: str = Field(
        default="", description="Exceptions that are not, written in the same way; they win over the others."
    )
    retry_judge: str | None = Field(
        default=None,
        description="A function of an exception that says True, False, or None for no opinion, as module:function or "
        "file.py:function; it is asked first.",
    )
    redact_errors: bool = Field(
        default=False,
        description="Whether messages of exceptions that are not known safe stay in the worker's log.",
    )
    shown_errors: str = Field(
        default="", description="Exceptions whose messages may leave the worker all the same, written as above."
    )
    health_host: str = Field(default="127.0.0.1", description="Address of the health endpoint.")
    health_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of the health endpoint; absent: none; 0: any free one."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="How the command logs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What it logs.")

    @field_validator("checkpointer")
    @classmethod
    def _known_checkpointer(cls, value: SecretStr) -> SecretStr:
        check_url(value.get_secret_value())
        return value

    @field_validator("retryable_errors", "permanent_errors", "shown_errors")
    @classmethod
    def _class_names(cls, value: str) -> str:
        split_names(value)
        return value

    def error_policy(self) -> ErrorPolicy:
        """What the settings say about errors.

        Raises:
            ConfigurationError: the judge cannot be loaded.
        """
        return ErrorPolicy(
            judge=load_judge(self.retry_judge, where=f"{_PREFIX}RETRY_JUDGE"),
            retryable=split_names(self.retryable_errors),
            permanent=split_names(self.permanent_errors),
            redact=self.redact_errors,
            shown=split_names(self.shown_errors),
        )
