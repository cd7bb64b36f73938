"""Which errors pass, which are for good, and which are the message's fault."""

from __future__ import annotations

import sqlite3
import traceback

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from result_store.database.faults import as_error, mapped
from result_store.errors import DatabaseError, UnstorableError

_VALUE = "what-stands-in-a-row"


def _sqlite(kind: type[sqlite3.Error], code: int, name: str, text: str = "text") -> sqlite3.Error:
    error = kind(text)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


def _called(value: object) -> str:
    kind = type(value)
    return getattr(value, "sqlite_errorname", None) or (
        str(value) if kind is str else f"{kind.__module__}.{kind.__name__}"
    )


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.SerializationError("could not serialize"),
        asyncpg.TooManyConnectionsError("too many clients"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        asyncpg.DiskFullError("no space left"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.InterfaceError("connection is closed"),
        PoolTimeoutError("QueuePool limit"),
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
        _sqlite(sqlite3.OperationalError, sqlite3.SQLITE_BUSY, "SQLITE_BUSY"),
        _sqlite(sqlite3.OperationalError, sqlite3.SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"),
        _sqlite(sqlite3.OperationalError, sqlite3.SQLITE_FULL, "SQLITE_FULL"),
    ],
    ids=_called,
)
def test_what_passes_may_be_tried_again(error: Exception) -> None:
    found = as_error(error, "save")
    assert isinstance(found, DatabaseError)
    assert found.retryable


@pytest.mark.parametrize(
    "error, hint",
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), "RESULT_STORE_DATABASE_URL"),
        (asyncpg.InvalidCatalogNameError("no such database"), "RESULT_STORE_DATABASE_URL"),
        (asyncpg.InsufficientPrivilegeError("permission denied"), "RESULT_STORE_DATABASE_URL"),
        (asyncpg.UndefinedTableError("no such relation"), "result-store migrate"),
        (asyncpg.UndefinedColumnError("no such column"), "result-store migrate"),
        (
            _sqlite(sqlite3.OperationalError, sqlite3.SQLITE_ERROR, "SQLITE_ERROR", "no such table: runs"),
            "result-store migrate",
        ),
        (_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN"), "RESULT_STORE_DATABASE_URL"),
        (_sqlite(sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"), "SQLITE_CORRUPT"),
    ],
    ids=_called,
)
def test_what_does_not_pass_says_what_to_do(error: Exception, hint: str) -> None:
    found = as_error(error, "save")
    assert isinstance(found, DatabaseError)
    assert not found.retryable
    assert hint in str(found)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DataError(f"invalid input for query argument $1: {_VALUE}"),
        asyncpg.CharacterNotInRepertoireError(f"invalid byte sequence {_VALUE}"),
        asyncpg.NumericValueOutOfRangeError(_VALUE),
        asyncpg.NotNullViolationError(_VALUE),
        asyncpg.ProgramLimitExceededError(_VALUE),
        _sqlite(sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL", _VALUE),
        _sqlite(sqlite3.DataError, sqlite3.SQLITE_TOOBIG, "SQLITE_TOOBIG", _VALUE),
        OverflowError(_VALUE),
        UnicodeEncodeError("utf-8", _VALUE, 0, 1, _VALUE),
    ],
    ids=_called,
)
def test_what_is_the_messages_fault_is_poison_and_its_value_is_nowhere(error: Exception) -> None:
    with pytest.raises(UnstorableError) as raised, mapped("save"):
        raise error
    assert _VALUE not in "".join(traceback.format_exception(raised.value))
