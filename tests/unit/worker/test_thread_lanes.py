"""One run at a time on one thread, in order, and no lane left behind."""

from __future__ import annotations

import asyncio

import pytest

from langgraph_integration.thread_lanes import ThreadLanes


async def test_turns_on_one_thread_come_one_after_another_in_order() -> None:
    # Given five turns on one thread, each with a point where another could slip in
    lanes, seen = ThreadLanes(), list[str]()

    async def run(number: int) -> None:
        async with lanes.turn("t"):
            seen.append(f"begin {number}")
            await asyncio.sleep(0)
            seen.append(f"end {number}")

    # When they are started together
    await asyncio.gather(*(run(number) for number in range(5)))
    # Then they did not overlap and kept their order, and the lane is gone
    assert seen == [f"{what} {number}" for number in range(5) for what in ("begin", "end")]
    assert len(lanes) == 0


async def test_threads_do_not_wait_for_each_other() -> None:
    lanes, both = ThreadLanes(), asyncio.Barrier(2)

    async def run(thread: str) -> None:
        async with lanes.turn(thread):
            await both.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(run("a"), run("b"))


async def test_a_waiter_that_is_cancelled_leaves_the_lane_to_the_next() -> None:
    # Given a turn under way and two that wait for it
    lanes, go_on = ThreadLanes(), asyncio.Event()

    async def run() -> None:
        async with lanes.turn("t"):
            await go_on.wait()

    first, second, third = (asyncio.create_task(run()) for _ in range(3))
    await asyncio.sleep(0)
    # When the second is cancelled and the first ends
    second.cancel()
    go_on.set()
    # Then the third has its turn
    async with asyncio.timeout(5):
        await asyncio.gather(first, third)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(lanes) == 0
