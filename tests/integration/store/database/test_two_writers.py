"""Two processors on one database, with messages about the same runs."""

from __future__ import annotations

import asyncio
import random

from sqlalchemy import delete

from result_store.database.database import ResultDatabase
from result_store.database.tables import metadata
from result_store.facts import Fact
from result_store.settings import StoreSettings
from tests.unit.store.database.stored import dump
from tests.unit.store.facts_made import whole_run


async def test_two_that_write_about_the_same_runs_do_not_stand_in_each_others_way(settings: StoreSettings) -> None:
    # Given what one pass makes
    facts: list[Fact] = [fact for run in range(40) for fact in whole_run(run, run)]
    writers = [ResultDatabase(settings), ResultDatabase(settings)]
    await writers[0].start(migrate=True)
    await writers[0].save(facts)
    once = await dump(writers[0])
    for table in reversed(metadata.sorted_tables):
        async with writers[0].engine.begin() as connection:
            await connection.execute(delete(table))

    # When two write it at the same time, each all of it and in an order of its own
    async def write(writer: ResultDatabase, seed: int) -> None:
        shuffled = random.Random(seed).sample(facts, len(facts))
        for start in range(0, len(shuffled), 40):
            await writer.save(shuffled[start : start + 40])

    await asyncio.gather(*(write(writer, seed) for seed, writer in enumerate(writers)))
    # Then neither was refused, and the rows are the same
    assert await dump(writers[0]) == once
    for writer in writers:
        await writer.close()
