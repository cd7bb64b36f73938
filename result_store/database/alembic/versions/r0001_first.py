"""The tables as they were at first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATE = (
    "CASE WHEN status = 'success' THEN 'success' "
    "WHEN status IS NOT NULL AND (result_attempt IS NULL OR ("
    "result_attempt >= coalesce(attempt, 1) AND result_attempt >= coalesce(progress_attempt, 1))) THEN status "
    "WHEN progress_attempt IS NOT NULL AND progress_attempt >= coalesce(attempt, 1) "
    "THEN CASE WHEN progress_begun THEN 'running' ELSE 'accepted' END "
    "ELSE 'pending' END"
)


def upgrade() -> None:
    """Add it."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("tenant_id", sa.Text()),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
    )
    op.create_table(
        "archive_objects",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.PrimaryKeyConstraint("key", name="pk_archive_objects"),
    )
    op.create_index("ix_archive_objects_run", "archive_objects", ["correlation_id"])
    op.create_table(
        "dead_letters",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Uuid()),
        sa.Column("origin_topic", sa.Text()),
        sa.Column("origin_partition", sa.Integer()),
        sa.Column("origin_offset", sa.BigInteger()),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="pk_dead_letters"),
    )
    op.create_index("ix_dead_letters_at", "dead_letters", ["at", "topic", "partition", "offset"])
    op.create_table(
        "decision_events",
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("reason", sa.Text()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archive_key", sa.Text()),
        sa.Column("rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision_events"),
    )
    op.create_index("ix_decision_events_at", "decision_events", ["at"])
    op.create_index("ix_decision_events_run", "decision_events", ["correlation_id"])
    op.create_table(
        "invalid_messages",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Uuid()),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="pk_invalid_messages"),
    )
    op.create_index("ix_invalid_messages_at", "invalid_messages", ["at", "topic", "partition", "offset"])
    op.create_table(
        "page_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_page_sessions"),
    )
    op.create_index("ix_page_sessions_expires", "page_sessions", ["expires_at"])
    op.create_table(
        "run_events",
        sa.Column("event_key", sa.Uuid(), nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("node", sa.Text()),
        sa.Column("step", sa.Integer()),
        sa.Column("status", sa.Text()),
        sa.Column("worker", sa.Text()),
        sa.Column("duration_ms", sa.Double()),
        sa.Column("data", sa.Text()),
        sa.PrimaryKeyConstraint("event_key", name="pk_run_events"),
    )
    op.create_index("ix_run_events_run", "run_events", ["correlation_id", "at", "event_key"])
    op.create_table(
        "runs",
        sa.Column("correlation_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("workflow_run_id", sa.Text(), nullable=False),
        sa.Column("name_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.Column("state", sa.Text(), sa.Computed(_STATE, persisted=True), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True)),
        sa.Column("attempt", sa.Integer()),
        sa.Column("graph", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("environment", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("tenant_id", sa.Text()),
        sa.Column("thread_id", sa.Text()),
        sa.Column("deadline", sa.DateTime(timezone=True)),
        sa.Column("request_bytes", sa.BigInteger()),
        sa.Column("request_archive_key", sa.Text()),
        sa.Column("request_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.Column("accepted_at", sa.DateTime(timezone=True)),
        sa.Column("begun_at", sa.DateTime(timezone=True)),
        sa.Column("last_heard_at", sa.DateTime(timezone=True)),
        sa.Column("progress_attempt", sa.Integer()),
        sa.Column("progress_begun", sa.Boolean()),
        sa.Column("worker", sa.Text()),
        sa.Column("node", sa.Text()),
        sa.Column("heartbeat_interval", sa.Double()),
        sa.Column(
            "progress_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")
        ),
        sa.Column("status", sa.Text()),
        sa.Column("result_attempt", sa.Integer()),
        sa.Column("result", sa.Text()),
        sa.Column("result_bytes", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_node", sa.Text()),
        sa.Column("error_retryable", sa.Boolean()),
        sa.Column("error_detail", sa.Text()),
        sa.Column("interrupts", sa.Text()),
        sa.Column("usage", sa.Text()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("total_tokens", sa.BigInteger()),
        sa.Column("cost", sa.Double()),
        sa.Column("checkpoint_id", sa.Text()),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("duration_ms", sa.Double()),
        sa.Column("stdout", sa.Text()),
        sa.Column("stderr", sa.Text()),
        sa.Column("exit_code", sa.BigInteger()),
        sa.Column("execution_ms", sa.Double()),
        sa.Column("peak_memory_bytes", sa.BigInteger()),
        sa.Column("result_archive_key", sa.Text()),
        sa.Column("result_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("correlation_id", name="pk_runs"),
    )
    op.create_index("ix_runs_batch", "runs", ["workflow_run_id", "correlation_id"])
    op.create_index("ix_runs_batch_updated", "runs", ["workflow_run_id", "updated_at", "correlation_id"])
    op.create_index("ix_runs_finished", "runs", ["finished_at"])
    op.create_index("ix_runs_state_updated", "runs", ["state", "updated_at", "correlation_id"])
    op.create_index(
        "ix_runs_tenant_updated",
        "runs",
        ["tenant_id", "updated_at", "correlation_id"],
        postgresql_where=sa.text("tenant_id IS NOT NULL"),
        sqlite_where=sa.text("tenant_id IS NOT NULL"),
    )
    op.create_index("ix_runs_updated", "runs", ["updated_at", "correlation_id"])
    op.create_index(
        "ix_runs_user_updated",
        "runs",
        ["user_id", "updated_at", "correlation_id"],
        postgresql_where=sa.text("user_id IS NOT NULL"),
        sqlite_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index("ix_runs_workflow_updated", "runs", ["workflow_id", "updated_at", "correlation_id"])
    op.create_table(
        "steps",
        sa.Column("correlation_id", sa.Uuid(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("node_duration_ms", sa.Double()),
        sa.Column("node_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.Column("input_count", sa.BigInteger()),
        sa.Column("output_count", sa.BigInteger()),
        sa.Column("kept", sa.BigInteger()),
        sa.Column("eliminated", sa.BigInteger()),
        sa.Column("scored", sa.BigInteger()),
        sa.Column("duration_ms", sa.Double()),
        sa.Column("tokens", sa.BigInteger()),
        sa.Column("cost", sa.Double()),
        sa.Column("archive_key", sa.Text()),
        sa.Column("counts_rank", sa.String(length=41).with_variant(sa.String(length=41, collation="C"), "postgresql")),
        sa.PrimaryKeyConstraint("correlation_id", "step_key", name="pk_steps"),
    )
    op.create_index("ix_steps_at", "steps", ["at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_steps_at", table_name="steps")
    op.drop_table("steps")
    op.drop_index("ix_runs_workflow_updated", table_name="runs")
    op.drop_index(
        "ix_runs_user_updated",
        table_name="runs",
        postgresql_where=sa.text("user_id IS NOT NULL"),
        sqlite_where=sa.text("user_id IS NOT NULL"),
    )
    op.drop_index("ix_runs_updated", table_name="runs")
    op.drop_index(
        "ix_runs_tenant_updated",
        table_name="runs",
        postgresql_where=sa.text("tenant_id IS NOT NULL"),
        sqlite_where=sa.text("tenant_id IS NOT NULL"),
    )
    op.drop_index("ix_runs_state_updated", table_name="runs")
    op.drop_index("ix_runs_finished", table_name="runs")
    op.drop_index("ix_runs_batch_updated", table_name="runs")
    op.drop_index("ix_runs_batch", table_name="runs")
    op.drop_table("runs")
    op.drop_index("ix_run_events_run", table_name="run_events")
    op.drop_table("run_events")
    op.drop_index("ix_page_sessions_expires", table_name="page_sessions")
    op.drop_table("page_sessions")
    op.drop_index("ix_invalid_messages_at", table_name="invalid_messages")
    op.drop_table("invalid_messages")
    op.drop_index("ix_decision_events_run", table_name="decision_events")
    op.drop_index("ix_decision_events_at", table_name="decision_events")
    op.drop_table("decision_events")
    op.drop_index("ix_dead_letters_at", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_index("ix_archive_objects_run", table_name="archive_objects")
    op.drop_table("archive_objects")
    op.drop_table("api_keys")
