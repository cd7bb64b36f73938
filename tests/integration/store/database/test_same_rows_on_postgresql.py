"""The property that all else rests on, on PostgreSQL; a database whose locale sorts text other than by bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from result_store.facts import Fact
from result_store.settings import StoreSettings
from tests.unit.store.database.fact_strategies import histories
from tests.unit.store.database.same_rows import any_order_makes_the_same_rows
from tests.unit.store.database.stored import Stored
from tests.unit.store.facts_made import progress
from workflow_events.testing.postgres import PostgresServer


@pytest.fixture(scope="module")
def stored(postgres: PostgresServer) -> Iterator[Stored]:

    async def make() -> None:
        server = create_async_engine(
            StoreSettings(database_url=postgres.dsn).async_database_url, isolation_level="AUTOCOMMIT"
        )
        async with server.connect() as connection:
            await connection.execute(
                text(
                    "CREATE DATABASE store_sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'"
                )
            )
        await server.dispose()

    asyncio.run(make())
    with Stored.in_(f"{postgres.dsn.removesuffix('/postgres')}/store_sorted") as stored:
        yield stored


# As text "a" comes before "Z" here, as bytes after it; the first workflow's name is a step's.
_ONE, _OTHER = (
    progress(1, second, workflow_id=name, kind="node_finished", node="n") for second, name in enumerate("aZ")
)


@example(history=([_ONE, _OTHER], [[_OTHER], [_ONE]]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories())
def test_any_order_any_duplication_and_any_batches_make_the_same_rows(
    stored: Stored, history: tuple[list[Fact], list[list[Fact]]]
) -> None:
    any_order_makes_the_same_rows(stored, *history)
