"""Both kinds of database, each test with a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from result_store.database.database import ResultDatabase
from result_store.settings import StoreSettings
from workflow_events.testing.postgres import PostgresServer

_numbers = count()


@pytest.fixture
def new_postgresql(postgres: PostgresServer) -> Callable[[], str]:
    """Make an empty database in PostgreSQL, and return its URL."""
    return lambda: postgres.create_database(f"store_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rows.db"
    url: str = request.getfixturevalue("new_postgresql")()
    return url


@pytest.fixture
def settings(database_url: str) -> StoreSettings:
    """Settings that name it."""
    return StoreSettings(database_url=database_url)


@pytest.fixture
async def database(settings: StoreSettings) -> AsyncIterator[ResultDatabase]:
    """The database, with its tables."""
    database = ResultDatabase(settings)
    await database.start(migrate=True)
    yield database
    await database.close()
