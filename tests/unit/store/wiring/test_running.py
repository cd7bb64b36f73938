"""How a role is asked to stop: once to end in good order, twice to end at once; and whose error it ends with."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from result_store.errors import DatabaseError
from result_store.running import until_stopped


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_the_first_signal_lets_the_work_end_and_the_second_cuts_it_off() -> None:
    # Given work that is built
    stopping, built = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def work() -> None:
        built.set()
        ask_to_stop()
        await stopping.wait()
        told.append("ending")
        ask_to_stop()
        await asyncio.Event().wait()

    # When it is asked twice, then it ends, and without an error
    await until_stopped(work(), stopping, built)
    assert told == ["ending"]


async def test_who_is_asked_in_another_way_ends_in_good_order_though_a_signal_follows() -> None:
    # Given work that is built, and that is asked by the end of a stream
    stopping, built = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def work() -> None:
        built.set()
        await stopping.wait()
        # When a signal follows, as where a terminal signals a process and its parent
        ask_to_stop()
        # (the event loop hears of it in its next turn, and cuts off in the one after that)
        for _ in range(10):
            await asyncio.sleep(0)
        told.append("ended")

    # Then it ends as it should
    await until_stopped(work(), stopping, built, asked_by=built_is_set(built))
    assert told == ["ended"]


async def test_who_is_asked_in_another_way_while_it_is_being_built_ends_at_once() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    await until_stopped(work(), asyncio.Event(), asyncio.Event(), asked_by=asyncio.sleep(0))


async def built_is_set(built: asyncio.Event) -> None:
    await built.wait()


async def test_a_signal_while_the_parts_are_being_built_ends_at_once() -> None:
    async def work() -> None:
        ask_to_stop()
        await asyncio.Event().wait()

    await until_stopped(work(), asyncio.Event(), asyncio.Event())


async def test_the_first_error_of_several_parts_is_the_one_that_is_told() -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())

    async def fail() -> None:
        raise DatabaseError("no such database")

    with pytest.raises(DatabaseError, match="no such database"):
        await until_stopped(work(), asyncio.Event(), asyncio.Event())


async def test_whoever_waits_for_the_work_may_cancel_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(until_stopped(work(), asyncio.Event(), asyncio.Event()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
