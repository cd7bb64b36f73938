"""The schema's versions, on both kinds of database."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from result_store.database import migrations
from result_store.database.database import ResultDatabase
from result_store.database.tables import metadata
from result_store.errors import SchemaVersionError
from result_store.records import RunState
from result_store.settings import StoreSettings
from tests.unit.store.facts_made import request, uid, whole_run


def _differences(connection: Connection) -> list[object]:
    options = {"version_table": migrations.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _states(connection: Connection) -> str:
    """The definition of the generated column ``state``, which autogenerate does not compare."""
    if connection.dialect.name == "postgresql":
        sql = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'runs'::regclass"
    else:
        sql = "SELECT sql FROM sqlite_master WHERE name = 'runs'"
    found = str(connection.execute(text(sql)).scalar_one())
    return re.sub(r"\W+", " ", found[found.index("CASE") : found.rindex("END")])


def _indexes(connection: Connection) -> dict[str, object]:
    """Each index's columns and condition."""
    catalog = inspect(connection)
    kind = connection.dialect.name
    return {
        str(index["name"]): (
            index["column_names"],
            str(index.get("dialect_options", {}).get(f"{kind}_where")).strip("()"),
        )
        for table in metadata.tables
        for index in catalog.get_indexes(table)
    }


async def test_tables_go_up_and_down_and_are_what_the_code_needs(settings: StoreSettings) -> None:
    database = ResultDatabase(settings)
    connect = database.engine.connect
    # Given a database without tables, which the code will not work with
    assert await asyncio.to_thread(migrations.current, settings) is None
    with pytest.raises(SchemaVersionError, match="result-store migrate"):
        await database.start()
    # When it is brought up
    await asyncio.to_thread(migrations.upgrade, settings)
    # Then it has what the code needs, and what SQLAlchemy would have made
    assert await asyncio.to_thread(migrations.current, settings) == migrations.head()
    await database.start()
    async with connect() as connection:
        assert await connection.run_sync(_differences) == []
        migrated = [await connection.run_sync(look) for look in (_tables, _states, _indexes)]
    # When it is brought down
    await asyncio.to_thread(migrations.downgrade, settings, "base")
    # Then nothing of it is left
    async with connect() as connection:
        assert await connection.run_sync(_tables) == {migrations.VERSION_TABLE}
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        made = [await connection.run_sync(look) for look in (_tables, _states, _indexes)]
    assert [{*made[0], migrations.VERSION_TABLE}, *made[1:]] == migrated
    await database.close()


async def test_several_that_migrate_at_once_do_it_once(settings: StoreSettings) -> None:
    with ThreadPoolExecutor(3) as pool:
        await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, migrations.upgrade, settings) for _ in range(3))
        )
    assert await asyncio.to_thread(migrations.current, settings) == migrations.head()


async def test_old_code_works_on_a_newer_schema(database: ResultDatabase, settings: StoreSettings) -> None:
    # Given tables as a later version may leave them: it only adds, and its revision is not known here
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE runs ADD COLUMN priority INTEGER"))
        await connection.execute(text("ALTER TABLE run_events ADD COLUMN span TEXT"))
        await connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
        await connection.execute(text("CREATE INDEX ix_runs_priority ON runs (priority)"))
        await connection.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = 'later'"))
    # When this version starts, writes and reads
    await database.start()
    await database.save([*whole_run(1), request(2, 30)])
    # Then all is as ever
    run = await database.queries.run(uid(1))
    assert run is not None
    assert (run.state, len(run.timeline)) == (RunState.SUCCESS, 7)
    assert len((await database.queries.runs()).items) == 2
    # and what the later version has written is left alone
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE runs SET priority = 7"))
    await database.save([request(2, 40, attempt=2)])
    async with database.engine.connect() as connection:
        assert set((await connection.execute(text("SELECT priority FROM runs"))).scalars()) == {7}


async def test_a_version_that_there_is_not_is_named(settings: StoreSettings) -> None:
    with pytest.raises(SchemaVersionError, match="no-such"):
        await asyncio.to_thread(migrations.upgrade, settings, "no-such")
