"""The schema's versions: up, down, and which one a database has.

A new version only adds (tables, indexes, columns that may be null), so that processes of the version before go on while the new
one is rolled out: they do not know what they leave empty. The steps are in ``alembic/versions`` beside this file.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from result_store.database.engine import IMMEDIATE, check_place, make_engine
from result_store.database.faults import mapped
from result_store.errors import SchemaVersionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from result_store.settings import StoreSettings

__all__ = ["VERSION_TABLE", "current", "downgrade", "head", "missing", "upgrade"]

VERSION_TABLE: Final = "result_store_version"
"""Where a database says which version it has; a name of our own, for another program may keep its tables beside ours."""

_SCRIPTS: Final = Path(__file__).with_name("alembic")
_LOCK: Final = 7_120_115_410_001
"""PostgreSQL's advisory lock that one migration at a time holds; any number that nobody else takes."""
_T = TypeVar("_T")


def upgrade(settings: StoreSettings, revision: str = "head") -> None:
    """Bring the tables up to a version; of several that try at once, one does it and the others find it done.

    It waits for the database, and must not be called in an event loop.

    Raises:
        SchemaVersionError: there is no such version.
        DatabaseError: the database refuses or cannot be reached.
    """
    _migrate(settings, "migrate its tables", lambda config: command.upgrade(config, revision))


def downgrade(settings: StoreSettings, revision: str) -> None:
    """Bring the tables down to a version; ``base`` drops them, and all that is in them.

    Raises:
        SchemaVersionError: there is no such version.
        DatabaseError: the database refuses or cannot be reached.
    """
    _migrate(settings, "migrate its tables", lambda config: command.downgrade(config, revision))


def current(settings: StoreSettings) -> str | None:
    """The version that the database has; None where it has none of our tables.

    Raises:
        DatabaseError: the database refuses or cannot be reached.
    """
    return _run(settings, "tell its schema's version", _version_in)


def head() -> str:
    """The version that this code needs."""
    found = _script().get_current_head()
    if found is None:
        raise SchemaVersionError(f"The result store's migrations are missing from {_SCRIPTS.name}: install it anew.")
    return found


def missing(found: str | None) -> str | None:
    """What is to be done before this code can work with a database of version `found`; None where nothing is.

    A version that is not known here is a newer one, and those only add.
    """
    needed = head()
    if found is None:
        return "The database has no tables of the result store's: run `result-store migrate`, or start with --migrate."
    older = {script.revision for script in _script().walk_revisions()} - {needed}
    if found in older:
        return (
            f"The database has the result store's tables in version {found}, and this program needs {needed}: run "
            "`result-store migrate`, or start with --migrate."
        )
    return None


def _migrate(settings: StoreSettings, doing: str, step: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        step(config)

    problem = None
    try:
        _run(settings, doing, run)
    except CommandError as error:
        problem = f"The database's tables cannot be migrated: {error}."
    if problem is not None:
        raise SchemaVersionError(problem)


def _run(settings: StoreSettings, doing: str, step: Callable[[Connection], _T]) -> _T:
    check_place(settings)

    async def run() -> _T:
        engine = make_engine(settings)
        try:
            async with engine.connect() as connection:
                await connection.execution_options(**{IMMEDIATE: True})
                async with connection.begin():
                    return await connection.run_sync(step)
        finally:
            await engine.dispose()

    with mapped(doing):
        return asyncio.run(run())


def _version_in(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
