"""Arithmetic with times, in SQLite's and PostgreSQL's words.

SQLite keeps a time as text of one width (:class:`~result_store.database.tables.UtcDateTime`); its own functions round to
milliseconds, so the second and its fraction are read apart.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

__all__ = ["epoch_microseconds"]


class epoch_microseconds(GenericFunction[int]):  # noqa: N801 - named as SQL's functions are
    """Whole microseconds since 1970 of a time."""

    type = BigInteger()
    inherit_cache = True


@compiles(epoch_microseconds, "sqlite")
def _sqlite(element: epoch_microseconds, compiler: Any, **options: Any) -> str:
    time = compiler.process(element.clauses, **options)
    return (
        f"(CAST(strftime('%s', substr({time}, 1, 19)) AS INTEGER) * 1000000 + CAST(substr({time}, 21, 6) AS INTEGER))"
    )


@compiles(epoch_microseconds, "postgresql")
def _postgresql(element: epoch_microseconds, compiler: Any, **options: Any) -> str:
    return f"CAST(extract(epoch FROM {compiler.process(element.clauses, **options)}) * 1000000 AS BIGINT)"
