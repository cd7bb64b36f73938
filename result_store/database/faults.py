"""What the databases' errors mean, in one place: try again, give up, or the message is poison.

No message of ours holds a value of a row: what the driver says of a row is left out, and its state and kind are named in place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from result_store.errors import DatabaseError, ResultStoreError, UnstorableError
from result_store.settings import variable

__all__ = ["as_error", "is_lost_connection", "mapped"]

_AGAIN: Final = ("08", "40", "53", "55P03", "57", "25006", "58")
"""SQLSTATEs, or their classes, that pass: connection, deadlock and serialization, resources, lock, shutdown and cancel, a server
that is read-only while another takes over, I/O."""
_POISON: Final = ("21", "22", "23", "54")
"""SQLSTATE classes that say the row is to blame: cardinality, data, constraints, limits."""
_NO_TABLE: Final = ("42P01", "42703", "3F000")
_NO_ACCESS: Final = ("28", "3D", "42501")

_SQLITE_AGAIN: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_SQLITE_POISON: Final = {
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
}

_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionResetError,
)

_URL: Final = variable("database_url")


@contextmanager
def mapped(doing: str) -> Iterator[None]:
    """Have the errors inside be those of :mod:`result_store.errors`.

    Args:
        doing: what is done, as in "The database failed to ...".

    Raises:
        DatabaseError: the database refuses or cannot be reached.
        UnstorableError: it will never take one of the rows.
    """
    problem: ResultStoreError
    try:
        yield
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error, OSError) as error:
        problem = as_error(error, doing)
    except (OverflowError, UnicodeEncodeError) as error:
        problem = _poison(type(error).__name__, doing)
    else:
        return
    # What the driver says may hold values of rows, and must not stand in a traceback.
    raise problem from None


def as_error(error: BaseException, doing: str) -> ResultStoreError:  # noqa: PLR0911 - one for each kind
    """Our error for one of a driver's, SQLAlchemy's or the system's."""
    cause = _driver_error(error)
    if isinstance(cause, PoolTimeoutError):
        return DatabaseError(
            f"The database failed to {doing}: all {variable('database_connections')} connections were in use for too long.",
            retryable=True,
        )
    if isinstance(cause, asyncpg.PostgresError):
        return _postgres(cause, doing)
    if isinstance(cause, sqlite3.Error):
        return _sqlite(cause, doing)
    if isinstance(cause, ValueError):  # asyncpg cannot write a value as its column's type: DataError is one
        return _poison(type(cause).__name__, doing)
    if isinstance(cause, asyncpg.InterfaceError):
        return DatabaseError(f"The database failed to {doing}: the connection to it was lost.", retryable=True)
    if isinstance(cause, OSError):
        return DatabaseError(
            f"The database failed to {doing}: it cannot be reached ({str(cause) or type(cause).__name__}). Is it running, and is "
            f"{_URL} right?",
            retryable=True,
        )
    return DatabaseError(f"The database failed to {doing} ({type(cause).__name__}).")


def is_lost_connection(error: BaseException) -> bool:
    """Whether the connection is gone, so that the same over a new one may do."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError))


def _driver_error(error: BaseException) -> BaseException:
    if isinstance(error, DBAPIError) and error.orig is not None:
        # asyncpg's errors are wrapped by SQLAlchemy's adapter first.
        return error.orig.__cause__ or error.orig
    return error


def _postgres(error: asyncpg.PostgresError, doing: str) -> ResultStoreError:
    state = str(error.sqlstate or "")
    if state.startswith(_POISON):
        return _poison(f"SQLSTATE {state}, {type(error).__name__}", doing)
    if state.startswith(_NO_TABLE):
        return _no_table(doing)
    about = (
        f"The database failed to {doing}: {error.args[0] if error.args else type(error).__name__} (SQLSTATE {state})."
    )
    if state.startswith(_NO_ACCESS):
        return DatabaseError(f"{about} Check {_URL} and what its user may do.")
    return DatabaseError(about, retryable=state.startswith(_AGAIN))


def _sqlite(error: sqlite3.Error, doing: str) -> ResultStoreError:
    code = getattr(error, "sqlite_errorcode", None)
    base = None if code is None else code & 0xFF  # an extended code has its kind in the last byte
    kind = getattr(error, "sqlite_errorname", type(error).__name__)
    if base in _SQLITE_POISON or isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return _poison(kind, doing)
    if "no such table" in str(error) or "no such column" in str(error):
        return _no_table(doing)
    if isinstance(error, sqlite3.ProgrammingError) and code is None:
        return DatabaseError(f"The database failed to {doing}: the connection to it was closed.", retryable=True)
    about = f"The database failed to {doing}: {error} ({kind})."
    if base == sqlite3.SQLITE_CANTOPEN:
        return DatabaseError(f"{about} Does the folder in {_URL} exist, and may this user write to it?")
    return DatabaseError(about, retryable=base in _SQLITE_AGAIN)


def _no_table(doing: str) -> DatabaseError:
    return DatabaseError(f"The database failed to {doing}: it lacks a table or column. Run `result-store migrate`.")


def _poison(kind: str, doing: str) -> UnstorableError:
    return UnstorableError(f"The database failed to {doing}: it will never take one of the rows ({kind}).")
