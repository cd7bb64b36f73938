"""What is seen through though its task is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from workflow_events.task_groups import finish


async def test_what_was_begun_is_finished_however_often_its_task_is_cancelled() -> None:
    # Given a task that closes something, which takes a while
    begun, may_end, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def close() -> None:
        begun.set()
        await may_end.wait()
        closed.set()

    task = asyncio.create_task(finish(close()))
    await begun.wait()
    # When it is cancelled twice, as at the end of a program
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    # Then it has closed it, and is cancelled
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_what_goes_wrong_is_told_where_nobody_cancels() -> None:
    async def close() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await finish(close())
