r"""The tables, as this version of the code writes and reads them. The migrations beside this file make them.

``runs`` has one row for each request. Its columns come in groups, each from one kind of message and each with its rank
(:mod:`result_store.ranks`): an upsert replaces a whole group where its rank is higher. Times that are the first or the last of
many are taken as minimum and maximum; ``info`` says which. So any messages, in any order and any number of times, make the same
row.

JSON is kept as text: it is passed on as it came, and PostgreSQL's ``jsonb`` cannot hold every JSON text (``\\u0000``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)

from result_store.ranks import RANK_LENGTH

if TYPE_CHECKING:
    from sqlalchemy import Dialect

__all__ = [
    "EITHER",
    "FIRST",
    "LAST",
    "MERGE",
    "RANK",
    "STATE",
    "UtcDateTime",
    "api_keys",
    "archive_objects",
    "dead_letters",
    "decision_events",
    "invalid_messages",
    "metadata",
    "page_sessions",
    "run_events",
    "runs",
    "steps",
]


MERGE: Final = "merge"
"""Key of a column's ``info`` under which stands how two versions of it become one, where no rank beside it decides."""
FIRST: Final = {MERGE: "first"}
"""The least of all that were told."""
LAST: Final = {MERGE: "last"}
"""The greatest."""
EITHER: Final = {MERGE: "either"}
"""True where any is."""
RANK: Final = {MERGE: "rank"}
"""Decides over the columns above it, up to the rank before."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time. SQLite has no type for it: there it is text of one width, in UTC, which sorts as the times do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As the driver takes it."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """As the driver gives it, made aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _rank(name: str) -> Column[Any]:
    # Compared as bytes on PostgreSQL, whatever the database's locale; SQLite always does.
    return Column(name, String(RANK_LENGTH).with_variant(String(RANK_LENGTH, collation="C"), "postgresql"), info=RANK)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# On one line, so that SQLite's catalogue gives it back whole.
STATE: Final = (
    "CASE WHEN status = 'success' THEN 'success' "
    "WHEN status IS NOT NULL AND (result_attempt IS NULL OR ("
    "result_attempt >= coalesce(attempt, 1) AND result_attempt >= coalesce(progress_attempt, 1))) THEN status "
    "WHEN progress_attempt IS NOT NULL AND progress_attempt >= coalesce(attempt, 1) "
    "THEN CASE WHEN progress_begun THEN 'running' ELSE 'accepted' END "
    "ELSE 'pending' END"
)
"""Where a request stands: a result's status once the last attempt known has one, else how far that attempt has come."""

runs = Table(
    "runs",
    metadata,
    Column("correlation_id", Uuid, primary_key=True),
    # What every message says; the request's word counts, then the result's, then a worker's (name_rank: 3, 2, 1 and a digest).
    Column("workflow_id", Text, nullable=False),
    Column("workflow_run_id", Text, nullable=False),
    _rank("name_rank"),
    Column("state", Text, Computed(STATE, persisted=True), nullable=False),
    # The request.
    Column("requested_at", UtcDateTime, info=FIRST),  # the first attempt's
    Column("attempt", Integer),
    Column("graph", Text),
    Column("source", Text),
    Column("environment", Text),
    Column("user_id", Text),
    Column("tenant_id", Text),
    Column("thread_id", Text),
    Column("deadline", UtcDateTime),
    Column("request_bytes", BigInteger),
    Column("request_archive_key", Text),
    _rank("request_rank"),
    # What a worker tells.
    Column("accepted_at", UtcDateTime, info=FIRST),  # the first time
    Column("begun_at", UtcDateTime, info=FIRST),  # the first time
    Column("last_heard_at", UtcDateTime, info=LAST),  # the last time
    Column("progress_attempt", Integer),
    Column("progress_begun", Boolean),
    Column("worker", Text),
    Column("node", Text),
    Column("heartbeat_interval", Double, info=LAST),  # said once, when the request is accepted
    _rank("progress_rank"),
    # The result.
    Column("status", Text),
    Column("result_attempt", Integer),
    Column("result", Text),  # JSON; null where it is too large, and then in the archive
    Column("result_bytes", BigInteger),
    Column("error", Text),
    Column("error_type", Text),
    Column("error_node", Text),
    Column("error_retryable", Boolean),
    Column("error_detail", Text),  # JSON
    Column("interrupts", Text),  # JSON
    Column("usage", Text),  # JSON
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("cost", Double),
    Column("checkpoint_id", Text),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("duration_ms", Double),
    Column("stdout", Text),
    Column("stderr", Text),
    Column("exit_code", BigInteger),
    Column("execution_ms", Double),
    Column("peak_memory_bytes", BigInteger),
    Column("result_archive_key", Text),
    _rank("result_rank"),
    # When any of its messages was published last; the same after any replay.
    Column("updated_at", UtcDateTime, nullable=False, info=LAST),
)
"""One row for each request."""

run_events = Table(
    "run_events",
    metadata,
    Column("event_key", Uuid, primary_key=True),  # a digest of what makes it this event
    Column("correlation_id", Uuid, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("attempt", Integer),
    Column(
        "kind", Text, nullable=False
    ),  # requested, accepted, run_started, node_started, node_finished, custom, result
    Column("node", Text),
    Column("step", Integer),
    Column("status", Text),  # of a result
    Column("worker", Text),
    Column("duration_ms", Double),
    Column("data", Text),  # JSON
)
"""A run's timeline. Heartbeats are not in it: the run's row says when it was heard last."""

steps = Table(
    "steps",
    metadata,
    Column("correlation_id", Uuid, primary_key=True),
    Column("step_key", Text, primary_key=True),  # name, and the superstep where it is known: "score#3", else "score"
    Column("workflow_id", Text, nullable=False, info=FIRST),
    Column("name", Text, nullable=False, info=FIRST),
    Column("at", UtcDateTime, nullable=False, info=FIRST),  # the first time
    Column("failed", Boolean, nullable=False, info=EITHER),  # whether any attempt broke here
    # What the worker tells: the node has ended.
    Column("node_duration_ms", Double),
    _rank("node_rank"),
    # What the graph says of itself on its custom stream.
    Column("input_count", BigInteger),
    Column("output_count", BigInteger),
    Column("kept", BigInteger),
    Column("eliminated", BigInteger),
    Column("scored", BigInteger),
    Column("duration_ms", Double),
    Column("tokens", BigInteger),
    Column("cost", Double),
    Column("archive_key", Text),
    _rank("counts_rank"),
)
"""What a graph's step took in and gave out."""

decision_events = Table(
    "decision_events",
    metadata,
    Column("decision_id", Uuid, primary_key=True),  # a digest of what makes it this decision
    Column("correlation_id", Uuid, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("verdict", Text, nullable=False),  # kept, eliminated, scored
    Column("score", Double),
    Column("reason", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("archive_key", Text),
    _rank("rank"),
)
"""What a step decided about one item."""

archive_objects = Table(
    "archive_objects",
    metadata,
    Column("key", Text, primary_key=True),
    Column("correlation_id", Uuid, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    _rank("rank"),
)
"""What the archive holds. Of two messages with one key, the one with the higher rank is there."""

invalid_messages = Table(
    "invalid_messages",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("error_type", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("correlation_id", Uuid),
    Column("key", LargeBinary),
    Column("headers", Text, nullable=False),  # JSON: [[name, base64 or null], ...]
    Column("value", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False, info=RANK),  # of two at one place, the later: the topic was made anew
)
"""Messages that are none, or that the database would not take."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("correlation_id", Uuid),
    Column("origin_topic", Text),
    Column("origin_partition", Integer),
    Column("origin_offset", BigInteger),
    Column("size", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False, info=RANK),  # of two at one place, the later: the topic was made anew
)
"""What workers have given up, in short."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("service", Text, nullable=False),
    Column("user_id", Text),  # the key sees this user's alone; null: everybody's
    Column("tenant_id", Text),  # likewise
    Column("hash", String(64), nullable=False),  # SHA-256 of the secret part, which has 256 bits of chance
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
"""Who may ask the API."""

page_sessions = Table(
    "page_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
"""Who is signed in at the page."""

# Each follows a query of result_store.database.queries or result_store.analytics; the tests look at the plans.
Index("ix_runs_batch", runs.c.workflow_run_id, runs.c.correlation_id)
Index("ix_runs_batch_updated", runs.c.workflow_run_id, runs.c.updated_at, runs.c.correlation_id)
Index("ix_runs_updated", runs.c.updated_at, runs.c.correlation_id)
Index("ix_runs_state_updated", runs.c.state, runs.c.updated_at, runs.c.correlation_id)
Index("ix_runs_workflow_updated", runs.c.workflow_id, runs.c.updated_at, runs.c.correlation_id)
Index(
    "ix_runs_user_updated",
    runs.c.user_id,
    runs.c.updated_at,
    runs.c.correlation_id,
    postgresql_where=runs.c.user_id.is_not(None),
    sqlite_where=runs.c.user_id.is_not(None),
)
Index(
    "ix_runs_tenant_updated",
    runs.c.tenant_id,
    runs.c.updated_at,
    runs.c.correlation_id,
    postgresql_where=runs.c.tenant_id.is_not(None),
    sqlite_where=runs.c.tenant_id.is_not(None),
)
Index("ix_runs_finished", runs.c.finished_at)
Index("ix_run_events_run", run_events.c.correlation_id, run_events.c.at, run_events.c.event_key)
Index("ix_steps_at", steps.c.at)
Index("ix_decision_events_run", decision_events.c.correlation_id)
Index("ix_decision_events_at", decision_events.c.at)
Index("ix_archive_objects_run", archive_objects.c.correlation_id)
Index(
    "ix_invalid_messages_at",
    invalid_messages.c.at,
    invalid_messages.c.topic,
    invalid_messages.c.partition,
    invalid_messages.c.offset,
)
Index("ix_dead_letters_at", dead_letters.c.at, dead_letters.c.topic, dead_letters.c.partition, dead_letters.c.offset)
Index("ix_page_sessions_expires", page_sessions.c.expires_at)
