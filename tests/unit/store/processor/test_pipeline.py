"""Two batches on their way at once, seen through in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from result_store.batches import Batch
from result_store.errors import DatabaseError
from result_store.pipeline import Pipeline

if TYPE_CHECKING:
    from result_store.records import StoredEvent

Numbered = Batch[int]


class Store:
    """Stores a batch when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Numbered] = []
        self.seen_through: list[Numbered] = []
        self._answers: dict[int, asyncio.Future[list[StoredEvent]]] = {}

    async def save(self, batch: Batch[Any]) -> list[StoredEvent]:
        self.begun.append(batch)
        return await self._answers.setdefault(id(batch), asyncio.get_running_loop().create_future())

    async def see_through(self, batch: Batch[Any], _: list[StoredEvent]) -> None:
        self.seen_through.append(batch)

    def stored(self, batch: Numbered) -> None:
        self._answers[id(batch)].set_result([])

    def fails(self, batch: Numbered) -> None:
        self._answers[id(batch)].set_exception(DatabaseError("It is full."))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def pipeline(store: Store) -> AsyncIterator[Pipeline]:
    made = Pipeline(store, store.see_through)
    yield made
    await made.cancel()


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def two_begun(pipeline: Pipeline) -> tuple[Numbered, Numbered]:
    first, second = Numbered(1), Numbered(1)
    pipeline.begin(first)
    pipeline.begin(second)
    await until_idle()
    return first, second


async def test_the_second_batch_is_begun_beside_the_first_and_the_third_has_to_wait(
    store: Store, pipeline: Pipeline
) -> None:
    first, second = Numbered(1), Numbered(1)
    pipeline.begin(first)
    assert not pipeline.is_full
    pipeline.begin(second)
    await until_idle()
    assert (len(store.begun), pipeline.is_full) == (2, True)
    store.stored(first)
    assert await pipeline.wait()
    assert (pipeline.is_full, len(pipeline.batches)) == (False, 1)
    assert not await pipeline.wait(0)


async def test_what_is_stored_first_is_seen_through_after_what_was_begun_first(
    store: Store, pipeline: Pipeline
) -> None:
    first, second = await two_begun(pipeline)
    store.stored(second)
    await until_idle()
    assert store.seen_through == []
    store.stored(first)
    await pipeline.finish()
    assert [id(batch) for batch in store.seen_through] == [id(first), id(second)]
    assert pipeline.batches == []


async def test_behind_a_batch_that_failed_none_is_seen_through_or_begun(store: Store, pipeline: Pipeline) -> None:
    first, second = await two_begun(pipeline)
    store.stored(second)
    store.fails(first)
    with pytest.raises(DatabaseError, match="full"):
        await pipeline.finish()
    await until_idle()
    assert (store.seen_through, pipeline.has_failed) == ([], True)
    with pytest.raises(DatabaseError, match="full"):
        pipeline.begin(Numbered(1))


async def test_what_is_given_up_is_not_seen_through_and_what_had_failed_can_still_be_asked_for(
    store: Store, pipeline: Pipeline
) -> None:
    first, _ = await two_begun(pipeline)
    store.fails(first)
    await until_idle()
    await pipeline.cancel()
    assert store.seen_through == []
    with pytest.raises(DatabaseError, match="full"):
        pipeline.raise_what_failed()
