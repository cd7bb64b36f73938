"""Times as SQLite keeps them, in whole microseconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, literal, select

from result_store.analytics.sql_times import epoch_microseconds
from result_store.database.tables import UtcDateTime
from result_store.ranks import microseconds


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 3, 1, 11, 59, 59, 999_999, UTC),  # SQLite's own functions round it up
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 0, 1, UTC),
    ],
    ids=str,
)
def test_no_microsecond_is_lost(time: datetime) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        assert connection.scalar(select(epoch_microseconds(literal(time, UtcDateTime)))) == microseconds(time)
    engine.dispose()
