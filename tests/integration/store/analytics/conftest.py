"""A ClickHouse engine, in the process and over HTTP, and the store's database."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from result_store.database.database import ResultDatabase
from result_store.settings import StoreSettings

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[str]:
    """Yield the URL of ClickHouse's HTTP interface, without a database's name; its engine ends with the session."""
    try:
        import chdb  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("chdb, the ClickHouse engine of the tests, is not installed: install the extra dev")
        pytest.skip("chdb is not installed: install the extra dev")
    from tests.integration.store.analytics.clickhouse_http import PASSWORD, USER, clickhouse_over_http

    with clickhouse_over_http() as (host, port):
        yield f"http://{USER}:{quote(PASSWORD)}@{host}:{port}"


@pytest.fixture
def clickhouse_database(clickhouse_server: str) -> Iterator[str]:
    """Yield the name of an empty ClickHouse database."""
    import clickhouse_connect

    name = f"analytics_{next(_NUMBERS)}"
    with closing(clickhouse_connect.get_client(dsn=clickhouse_server)) as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name}")


@pytest.fixture
def over_http(clickhouse_server: str, clickhouse_database: str) -> StoreSettings:
    """Return settings that name the ClickHouse database as a server's."""
    return StoreSettings(clickhouse_url=f"{clickhouse_server}/{clickhouse_database}")


@pytest.fixture
def in_process(clickhouse_database: str) -> StoreSettings:
    """Return settings that name the ClickHouse database as one of the engine in this process."""
    return StoreSettings(clickhouse_url=f"chdb://memory/{clickhouse_database}")


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Yield the store's database, with tables and no rows."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database(f"analytics_{next(_NUMBERS)}")
    database = ResultDatabase(StoreSettings(database_url=url))
    await database.start(migrate=True)
    yield database.engine
    await database.close()
