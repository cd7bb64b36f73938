"""What happens where the database, the archive or a message does not do its part."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from result_store.archive_keys import ArchiveObject
from result_store.database.database import ResultDatabase
from result_store.errors import ArchiveError, DatabaseError, UnstorableError
from result_store.settings import StoreSettings
from tests.unit.store.database.stored import dump
from tests.unit.store.facts_made import request, result, uid, whole_run
from workflow_events.testing.postgres import PostgresServer


async def _nothing(database: ResultDatabase) -> bool:
    return not any((await dump(database)).values())


async def test_what_the_archive_refuses_is_not_written_and_is_offered_again(database: ResultDatabase) -> None:
    # Given an archive that is down
    offered: list[str] = []

    async def refuse(objects: Sequence[ArchiveObject]) -> None:
        offered.extend(each.key for each in objects)
        raise ArchiveError("The archive is down.", retryable=True)

    async def take(objects: Sequence[ArchiveObject]) -> None:
        offered.extend(each.key for each in objects)

    # When a run is saved, Then nothing is written, and the archive's own error comes out
    with pytest.raises(ArchiveError, match="is down"):
        await database.save(whole_run(1), keep=refuse)
    assert await _nothing(database)
    # and once it is up all is offered again, and then no more
    await database.save(whole_run(1), keep=take)
    await database.save(whole_run(1), keep=take)
    assert len(offered) == 2 * 3
    assert offered[:3] == offered[3:]


async def test_an_error_of_the_archives_that_is_the_systems_is_not_taken_for_the_databases(
    database: ResultDatabase,
) -> None:
    async def refuse(_objects: Sequence[ArchiveObject]) -> None:
        raise TimeoutError("the archive's")

    with pytest.raises(TimeoutError, match="the archive's"):
        await database.save(whole_run(1), keep=refuse)


async def test_a_save_that_is_cancelled_leaves_nothing_and_the_next_one_works(database: ResultDatabase) -> None:
    # Given a save that waits for the archive
    waits = asyncio.Event()

    async def wait(_objects: Sequence[ArchiveObject]) -> None:
        waits.set()
        await asyncio.Event().wait()

    saving = asyncio.create_task(database.save(whole_run(1), keep=wait))
    await waits.wait()
    # When it is cancelled
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    # Then nothing is there, and the next one is
    assert await _nothing(database)
    assert len((await database.save(whole_run(1))).changed) == 1


async def test_a_row_that_the_database_will_never_take_is_told_from_a_failure(database: ResultDatabase) -> None:
    # Given an attempt that no column holds, between messages that are well
    with pytest.raises(UnstorableError):
        await database.save([request(1), request(2, attempt=2**40)])
    # Then nothing is written, and the others go without it
    assert await _nothing(database)
    await database.save([request(1)])
    assert await database.queries.run(uid(1)) is not None


async def test_a_name_that_no_index_takes_is_poison_and_not_in_the_message(new_postgresql: Callable[[], str]) -> None:
    # Given a name that PostgreSQL's index cannot hold, for it cannot be made smaller
    database = ResultDatabase(StoreSettings(database_url=new_postgresql()))
    await database.start(migrate=True)
    name = "".join(chr(0x1F000 + secrets.randbelow(0xFFF)) for _ in range(1024))
    # When it comes, Then it is poison; the next batch goes over the same connection
    with pytest.raises(UnstorableError, match="54000") as refused:
        await database.save([request(1, batch=name)])
    assert name[:4] not in "".join(traceback.format_exception(refused.value))
    assert len((await database.save([request(2)])).changed) == 1
    await database.close()


async def test_a_server_that_goes_and_comes_back_is_retryable_and_then_used_again(postgres: PostgresServer) -> None:
    # Given a store whose server, one of its own, goes away
    with PostgresServer() as server:
        database = ResultDatabase(StoreSettings(database_url=server.dsn))
        await database.start(migrate=True)
        await database.save([request(1)])
        await database.queries.run(uid(1))
        await asyncio.to_thread(server.kill)
        # When it is written and asked, Then the error says that trying again may help, and what to look at
        for doing in (database.save([result(1, 1)]), database.queries.run(uid(1)), database.ping()):
            with pytest.raises(DatabaseError) as refused:
                await doing
            assert refused.value.retryable
        with pytest.raises(DatabaseError, match="RESULT_STORE_DATABASE_URL"):
            await database.ping()
        # and when it is back, all goes on
        await asyncio.to_thread(server.start)
        assert len((await database.save([result(1, 1)])).changed) == 1
        # also where connections have died unseen: a question is asked once more
        await asyncio.gather(*(database.queries.run(uid(1)) for _ in range(3)))
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        run = await database.queries.run(uid(1))
        assert run is not None
        assert run.result == {"answer": 1}
        await database.close()


async def test_a_database_that_there_is_not_is_an_error_for_good_without_its_password(postgres: PostgresServer) -> None:
    url = postgres.dsn.replace("postgres@", "postgres:s3cret@").removesuffix("postgres") + "nowhere"
    database = ResultDatabase(StoreSettings(database_url=url))
    with pytest.raises(DatabaseError, match="RESULT_STORE_DATABASE_URL") as refused:
        await database.ping()
    assert not refused.value.retryable
    assert "s3cret" not in "".join(traceback.format_exception(refused.value)) + repr(database.engine)
    await database.close()


async def test_a_folder_that_there_is_not_is_named_by_its_setting(tmp_path: Path) -> None:
    database = ResultDatabase(StoreSettings(database_url=f"sqlite:///{tmp_path}/no/rows.db"))
    with pytest.raises(DatabaseError, match=r"Make its folder, or set RESULT_STORE_DATABASE_URL") as refused:
        await database.start(migrate=True)
    assert not refused.value.retryable
    with pytest.raises(DatabaseError, match="name a file"):
        ResultDatabase(StoreSettings(database_url="sqlite://"))


async def test_sqlite_waits_for_a_foreign_writer_and_is_read_meanwhile(tmp_path: Path) -> None:
    # Given somebody else who writes to the file
    database = ResultDatabase(StoreSettings(database_url=f"sqlite:///{tmp_path}/rows.db"))
    await database.start(migrate=True)
    await database.save([request(1)])
    stranger = sqlite3.connect(tmp_path / "rows.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    # When a batch comes
    saving = asyncio.create_task(database.save([request(2)]))
    # Then readers are not held up, and the batch waits
    assert await database.queries.run(uid(1)) is not None
    assert await database.queries.run(uid(2)) is None
    assert not saving.done()
    # until the other is done
    stranger.execute("COMMIT")
    stranger.close()
    assert len((await saving).changed) == 1
    await database.close()
