"""Two processors on one database, with messages about the same runs."""

from __future__ import annotations

import asyncio

from sqlalchemy import delete

from result_store.database.database import ResultDatabase
from result_store.database.tables import metadata
from result_store.facts import Fact
from result_store.settings import StoreSettings
from tests.unit.store.database.stored import dump
from tests.unit.store.facts_made import whole_run


async def test_two_that_write_about_the_same_runs_do_not_stand_in_each_others_way(settings: StoreSettings) -> None:
    # Given what one pass makes
    rounds: list[list[Fact]] = [
        [fact for run in range(begin, begin + 60) for fact in whole_run(run, run)] for begin in range(0, 240, 60)
    ]
    writers = [ResultDatabase(settings), ResultDatabase(settings)]
    await writers[0].start(migrate=True)
    for facts in rounds:
        await writers[0].save(facts)
    once = await dump(writers[0])
    async with writers[0].engine.begin() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(delete(table))
    # When two write the same at the same time, one from the beginning and one from the end
    for facts in rounds:
        await asyncio.gather(writers[0].save(facts), writers[1].save(facts[::-1]))
    # Then neither was refused, and the rows are the same
    assert await dump(writers[0]) == once
    for writer in writers:
        await writer.close()
