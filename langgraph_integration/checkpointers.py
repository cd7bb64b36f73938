"""Which checkpointer a URL asks for: none, SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

__all__ = ["check_url", "open_checkpointer"]

_MIGRATION_LOCK = 7_301_884_265  # any number, the same in all workers
_FORMS = "none, sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/database"


def check_url(url: str) -> str:
    """The kind of checkpointer that a URL asks for: ``none``, ``sqlite`` or ``postgresql``.

    Raises:
        ConfigurationError: it is none of them. The message never repeats the URL, which may hold a password.
    """
    if url in {"", "none"}:
        return "none"
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return "sqlite"
    if separator and scheme in {"postgresql", "postgres"}:
        return "postgresql"
    named = f" not one that begins with {scheme!r}" if separator else ""
    raise ConfigurationError(f"WORKFLOW_WORKER_CHECKPOINTER must be {_FORMS}{',' if named else ''}{named}")


@asynccontextmanager
async def open_checkpointer(
    url: str, *, connections: int = 10, connect_timeout: float = 10.0
) -> AsyncIterator[BaseCheckpointSaver[Any] | None]:
    """The checkpointer for ``url``, with its tables made; None for ``none``.

    Args:
        connections: the most that the PostgreSQL pool opens.
        connect_timeout: seconds that a PostgreSQL server gets to answer at the start.

    Raises:
        ConfigurationError: the URL is malformed, or the library for it is not installed, or the database cannot be
            opened. The message holds no password.
    """
    kind = check_url(url)
    if kind == "none":
        yield None
    elif kind == "sqlite":
        async with _sqlite(url) as saver:
            yield saver
    else:
        async with _postgresql(url, connections, connect_timeout) as saver:
            yield saver


@asynccontextmanager
async def _sqlite(url: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        import aiosqlite  # noqa: PLC0415 - only this kind needs it
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: PLC0415
    except ImportError as error:  # pragma: no cover - the extra holds it
        raise _not_installed("langgraph-checkpoint-sqlite") from error
    path = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    opening = aiosqlite.connect(path)
    try:
        connection = await opening
    except (OSError, aiosqlite.Error) as error:
        # aiosqlite ends its thread without waiting for it, and the thread would speak to an event loop that may have ended.
        await asyncio.to_thread(opening._thread.join)  # noqa: SLF001
        raise ConfigurationError(
            f"The checkpoint database {path!r} cannot be opened ({error}): check that its folder exists and is writable"
        ) from error
    try:
        # Several workers may share the file: wait for each other instead of failing. Milliseconds.
        await connection.execute("PRAGMA busy_timeout = 30000")
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        yield saver
    finally:
        await connection.close()


@asynccontextmanager
async def _postgresql(url: str, connections: int, connect_timeout: float) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        import psycopg  # noqa: PLC0415 - only this kind needs it
        import psycopg_pool  # noqa: PLC0415
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415
        from psycopg.rows import dict_row  # noqa: PLC0415
    except ImportError as error:  # pragma: no cover - the extra holds it
        raise _not_installed("langgraph-checkpoint-postgres") from error
    parts = urlsplit(url)
    place = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    pool = psycopg_pool.AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max(1, connections),
        open=False,
        name="workflow-worker",
        check=psycopg_pool.AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )
    try:
        try:
            await pool.open(wait=True, timeout=connect_timeout)
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            # Raised without its cause: libpq's message may repeat the connection string.
            raise ConfigurationError(
                f"The checkpoint database {place} cannot be reached ({type(error).__name__}): check the URL in "
                "WORKFLOW_WORKER_CHECKPOINTER, the user's password and that the server runs"
            ) from None
        saver = AsyncPostgresSaver(cast("Any", pool))
        # LangGraph's saver takes its lock for every statement, which guards a single connection. A pool gives each
        # statement a connection of its own, so as many may pass as it has connections.
        saver.lock = cast("Any", asyncio.Semaphore(max(1, connections)))
        await _migrate(pool, saver)
        yield saver
    finally:
        await pool.close()


def _while_locked() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type(ConfigurationError),
        stop=stop_after_delay(60),
        wait=wait_fixed(0.1),
        reraise=True,
    )


async def _migrate(pool: Any, saver: Any) -> None:
    """Makes the tables; one worker at a time, as several may start at once and ``setup`` is not made for that.

    The lock is tried, not waited for: a statement that waits holds a snapshot, and the migrations' ``CREATE INDEX
    CONCURRENTLY`` waits for all snapshots.
    """
    async with pool.connection() as connection:
        async for attempt in _while_locked():
            with attempt:
                cursor = await connection.execute(f"SELECT pg_try_advisory_lock({_MIGRATION_LOCK}) AS locked")
                if not (await cursor.fetchone())["locked"]:
                    raise ConfigurationError(
                        "Another worker has been making the checkpoint tables for 60 s: look at it"
                    )
        try:
            await type(saver)(connection).setup()
        finally:
            await connection.execute(f"SELECT pg_advisory_unlock({_MIGRATION_LOCK})")


def _not_installed(package: str) -> ConfigurationError:
    return ConfigurationError(
        f"This checkpointer needs {package}: install workflow-events[langgraph], or pip install {package}"
    )
