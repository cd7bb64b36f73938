"""Waits for many replies at once, through one reader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workflow_events.errors import GatherTimeoutError, ResultTimeoutError
from workflow_events.replies.gathering import Gathering, WaitFor
from workflow_events.task_groups import first_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflow_events.replies.async_reader import Expectation
    from workflow_events.replies.records import Reply

__all__ = ["gather_replies"]


async def gather_replies(
    expected: Sequence[Expectation],
    wait_for: WaitFor = "all",
    *,
    return_partial_on_timeout: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Reply | None]:
    """The replies to many requests, in the order of the requests; None for one that was not waited for.

    Args:
        expected: registered waiters of one reader.
        wait_for: see :data:`~workflow_events.replies.gathering.WaitFor`.
        return_partial_on_timeout: what has come by the deadline is returned instead of an error.
        on_progress: called with how many have answered, and of how many, whenever one has.

    Raises:
        GatherTimeoutError: too few by the latest deadline.
        TransportError: the reader could not begin.
    """
    gathering = Gathering(len(expected), wait_for)
    timed_out: list[ResultTimeoutError] = []
    done = asyncio.Event()
    if gathering.done:
        done.set()

    async def collect(index: int, one: Expectation) -> None:
        try:
            reply = await one.reply()
        except ResultTimeoutError as error:
            timed_out.append(error)
        else:
            gathering.add(index, reply)
            if on_progress is not None:
                on_progress(gathering.answered, len(gathering))
        if gathering.done or gathering.answered + len(timed_out) == len(gathering):
            done.set()

    with first_error():
        async with asyncio.TaskGroup() as tasks:
            collecting = [tasks.create_task(collect(index, one)) for index, one in enumerate(expected)]
            await done.wait()
            for task in collecting:
                task.cancel()
    if not gathering.done and not return_partial_on_timeout:
        raise GatherTimeoutError(
            [expected[index].pending for index in gathering.missing],
            [reply.event if reply is not None else None for reply in gathering.replies],
            read_to=timed_out[-1].read_to,
            cause=timed_out[-1].cause,
        )
    return gathering.replies
