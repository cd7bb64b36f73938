"""What waits for the clients of a live stream, and what is remembered for those who come back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from result_store.live_events import Memory, StoredRecord, Watch
from result_store.records import Phase, RunState, StoredEvent

EVENT = StoredEvent(
    correlation_id=UUID(int=1),
    workflow_id="w",
    workflow_run_id="r",
    state=RunState.SUCCESS,
    phase=Phase.FINISHED,
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def record(partition: int, offset: int) -> StoredRecord:
    return StoredRecord(partition, offset, EVENT)


async def test_a_watch_tells_what_is_offered_and_knows_where_it_stands() -> None:
    watch = Watch(10, {0: 5, 1: 7})
    watch.offer(record(0, 5))
    watch.offer(record(1, 9))
    told = []
    async for one in watch.news():
        told.append(watch.after(one))
        watch.pass_over(one)
        if len(told) == 2:
            watch.end()
    assert told == [{0: 6, 1: 7}, {0: 6, 1: 10}]
    assert watch.cursor == {0: 6, 1: 10}


async def test_a_watch_that_is_not_read_ends_and_keeps_its_place() -> None:
    # Given: a client that takes nothing
    watch = Watch(3, {0: 0})
    # When: more comes than may wait
    for offset in range(5):
        watch.offer(record(0, offset))
    # Then: the stream ends, and tells nothing that the client would have to have seen before
    async with asyncio.timeout(60):
        assert [one async for one in watch.news()] == []
    assert watch.ended
    assert watch.cursor == {0: 0}


async def test_who_waits_for_news_is_woken_by_the_end() -> None:
    watch = Watch(3, {0: 0})

    async def read() -> list[StoredRecord]:
        return [one async for one in watch.news()]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    watch.end()
    async with asyncio.timeout(60):
        assert await reading == []


@given(
    start=st.dictionaries(st.integers(0, 2), st.integers(0, 5), min_size=3, max_size=3),
    arrivals=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40),
    most=st.integers(0, 15),
    back=st.dictionaries(st.integers(0, 2), st.integers(0, 12), max_size=3),
)
def test_memory_tells_all_that_lies_between_or_says_that_it_cannot(
    start: dict[int, int], arrivals: list[tuple[int, bool]], most: int, back: dict[int, int]
) -> None:
    # Given: a topic with records, some of which are no announcements
    memory = Memory(most)
    memory.begin(start)
    positions = dict(start)
    log: list[StoredRecord] = []
    for partition, is_announcement in arrivals:
        offset = positions[partition]
        found = [record(partition, offset)] if is_announcement else []
        log += found
        positions[partition] = offset + 1
        memory.add(partition, found)
    # When: a client comes back
    if memory.covers(back, positions):
        # Then: it is told all that it has not seen, in order
        missed = [one for one in log if one.offset >= back.get(one.partition, 0)]
        assert list(memory.since(back, positions)) == missed
        assert all(back.get(partition, 0) >= first for partition, first in start.items())
