"""A process's own cache."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from result_store.cache import SETTLE_SECONDS, LocalCache, owners_of
from result_store.records import Phase, RunState, StoredEvent


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_kept_for_its_time_and_counted() -> None:
    clock, told = Clock(), list[str]()
    cache = LocalCache(10, 300, on_request=told.append, clock=clock)
    await cache.put("a", b"1", owner="ada")
    assert await cache.get("a") == b"1"
    clock.now += 301
    assert await cache.get("a") is None
    assert told == ["hit", "miss"]


async def test_an_owner_that_is_forgotten_takes_its_answers_along_and_no_others() -> None:
    clock = Clock()
    cache = LocalCache(10, 300, clock=clock)
    for key, owner in (("a", "ada"), ("b", "ada"), ("c", "bob")):
        await cache.put(key, b"1", owner=owner)
    await cache.forget(["ada", "nobody"])
    assert [await cache.get(key) for key in "abc"] == [None, None, b"1"]


async def test_a_reader_that_began_before_the_write_cannot_put_what_is_old() -> None:
    # Given: a reader has asked the database, and the row has changed since
    clock = Clock()
    cache = LocalCache(10, 300, clock=clock)
    await cache.forget(["ada"])
    # When: it puts what it has read
    await cache.put("a", b"old", owner="ada")
    # Then: nobody is shown it; and later on answers are kept again
    assert await cache.get("a") is None
    clock.now += SETTLE_SECONDS
    await cache.put("a", b"new", owner="ada")
    assert await cache.get("a") == b"new"


async def test_the_oldest_go_first_and_a_huge_answer_is_not_kept() -> None:
    cache = LocalCache(2, 300)
    for key in "abc":
        await cache.put(key, key.encode(), owner=key)
    await cache.put("huge", bytes(2 * 1024 * 1024), owner="d")
    assert [await cache.get(key) for key in ("a", "b", "c", "huge")] == [None, b"b", b"c", None]


@given(
    st.lists(st.tuples(st.sampled_from(["put", "forget", "wait"]), st.integers(0, 5), st.integers(0, 2)), max_size=40)
)
async def test_no_answer_outlives_its_owner_or_its_time(steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    cache = LocalCache(4, 20, clock=clock)
    put_at: dict[int, tuple[float, int, bytes]] = {}
    for number, (what, key, owner) in enumerate(steps):
        if what == "put":
            value = str(number).encode()
            await cache.put(str(key), value, owner=str(owner))
            put_at[key] = (clock.now, owner, value)
        elif what == "forget":
            await cache.forget([str(owner)])
            put_at = {key: kept for key, kept in put_at.items() if kept[1] != owner}
        else:
            clock.now += 7
        for known in range(6):
            found = await cache.get(str(known))
            if found is not None:
                at, _, value = put_at[known]
                assert found == value
                assert clock.now < at + 20


def test_a_change_makes_the_answers_of_its_request_batch_and_user_old() -> None:
    changed = StoredEvent(
        correlation_id=UUID(int=7),
        workflow_id="w",
        workflow_run_id="batch",
        state=RunState.RUNNING,
        phase=Phase.RUNNING,
        user_id="ada",
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert owners_of([changed]) == {str(UUID(int=7)), "batch", "ada"}
