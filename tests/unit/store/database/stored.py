"""A database for tests that look at all that is in it, with a stand-in for the archive that keeps messages in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self
from uuid import UUID

from sqlalchemy import delete, select

from result_store.archive_keys import ArchiveObject
from result_store.database.database import ResultDatabase
from result_store.database.merging import RULES
from result_store.database.tables import metadata
from result_store.facts import Fact
from result_store.records import StoredEvent
from result_store.settings import StoreSettings

Dump = dict[str, list[tuple[Any, ...]]]


class Stored:
    """A database in an event loop of its own, for tests that have none: Hypothesis runs them.

    Attributes:
        archive: bodies by key.
        told: for each request the last that was told of it.
        kept: how many messages were put to the archive.
    """

    def __init__(self, database: ResultDatabase, runner: asyncio.Runner) -> None:
        self.database = database
        self._runner = runner
        self._clear()

    @classmethod
    @contextmanager
    def in_(cls, url: str) -> Iterator[Self]:
        """A migrated database at an address."""
        with asyncio.Runner() as runner:
            database = ResultDatabase(StoreSettings(database_url=url))
            runner.run(database.start(migrate=True))
            try:
                yield cls(database, runner)
            finally:
                runner.run(database.close())

    def fresh(self) -> Self:
        """The same database, emptied."""
        self._runner.run(self._empty())
        self._clear()
        return self

    def save(self, facts: Sequence[Fact]) -> tuple[StoredEvent, ...]:
        """Save one batch."""
        changed = self._runner.run(self.database.save(facts, keep=self._keep)).changed
        self.told.update((event.correlation_id, event) for event in changed)
        return changed

    def save_all(self, batches: Iterable[Sequence[Fact]]) -> Self:
        """Save one batch after the other."""
        for batch in batches:
            self.save(batch)
        return self

    def rows(self) -> Dump:
        """All that is there, in an order that does not depend on how it came there."""
        return self._runner.run(dump(self.database))

    def _clear(self) -> None:
        self.archive: dict[str, bytes] = {}
        self.told: dict[UUID, StoredEvent] = {}
        self.kept = 0

    async def _keep(self, objects: Sequence[ArchiveObject]) -> None:
        self.kept += len(objects)
        self.archive.update((each.key, each.body) for each in objects)

    async def _empty(self) -> None:
        async with self.database.engine.begin() as connection:
            for name in RULES:
                await connection.execute(delete(metadata.tables[name]))


async def dump(database: ResultDatabase) -> Dump:
    found: Dump = {}
    async with database.engine.connect() as connection:
        for name in RULES:
            table = metadata.tables[name]
            found[name] = sorted((tuple(row) for row in await connection.execute(select(table))), key=repr)
    return found
