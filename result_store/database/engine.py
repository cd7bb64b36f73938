"""The way to the database: SQLAlchemy's engine, set up for each kind of database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from result_store.errors import DatabaseError
from result_store.settings import variable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from result_store.settings import StoreSettings

__all__ = ["IMMEDIATE", "check_place", "make_engine", "reading"]

IMMEDIATE: Final = "sqlite_begin_immediate"
"""Execution option: the transaction takes SQLite's write lock when it begins, and waits for it then."""
_NO_TRANSACTION: Final = "sqlite_no_transaction"

_SQLITE_WAIT: Final = 60.0
"""Seconds that one SQLite writer waits for another."""
_POOL_WAIT: Final = 30.0
"""Seconds to wait for a free connection."""
_CONNECT: Final = 10.0
"""Seconds to wait for PostgreSQL to answer."""
_SQLITE_CONNECTIONS: Final = 5


def make_engine(settings: StoreSettings) -> AsyncEngine:
    """An engine that has not connected yet.

    Raises:
        DatabaseError: the database would be in memory, where each connection has its own.
    """
    url = settings.async_database_url
    if settings.is_postgresql:
        return create_async_engine(
            url,
            pool_size=settings.database_connections,
            max_overflow=0,
            pool_timeout=_POOL_WAIT,
            pool_use_lifo=True,  # the one used last has its statements prepared, and its server process awake
            hide_parameters=True,
            connect_args={"timeout": _CONNECT, "server_settings": {"application_name": "result-store"}},
        )
    path = make_url(url).database
    if not path or ":memory:" in path or "mode=memory" in url:
        raise DatabaseError(
            f"{variable('database_url')} names a SQLite database in memory, which would be another one for each connection: "
            "name a file, as in sqlite:///result-store.db."
        )
    engine = create_async_engine(
        url,
        pool_size=_SQLITE_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_POOL_WAIT,
        hide_parameters=True,
        connect_args={"timeout": _SQLITE_WAIT},
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def check_place(settings: StoreSettings) -> None:
    """Look whether SQLite's file is where it can be written.

    Raises:
        DatabaseError: it is not; the message names it.
    """
    if settings.is_postgresql:
        return
    path = Path(make_url(settings.async_database_url).database or "")
    place = path if path.exists() else path.parent
    if not place.exists() or path.is_dir() or not os.access(place, os.W_OK):
        raise DatabaseError(
            f"The database cannot be opened: there is no file {path} that this user may write, nor can one be made. Make its "
            f"folder, or set {variable('database_url')} to another place."
        )


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for single statements that only read: each is a transaction of its own, and saves two round trips."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(**{_NO_TRANSACTION: True})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver begins no transactions of its own; _begin_sqlite does. So a reader may be told to have none.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Readers and one writer at a time do not block each other; a commit survives this process's death, and the machine's but
    # for the last moments, whose messages are read again only if their offsets were not committed: so the log is synced fully.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_NO_TRANSACTION):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(IMMEDIATE) else "BEGIN")
