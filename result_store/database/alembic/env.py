"""Alembic runs this to migrate over the connection that :mod:`result_store.database.migrations` gives it."""

from __future__ import annotations

from alembic import context

from result_store.database.migrations import VERSION_TABLE
from result_store.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
