"""Waits for many replies at once, through one reader and in one task."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from workflow_events.errors import ResultTimeoutError
from workflow_events.replies.gathering import Gathering, WaitFor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflow_events.replies.expectation import Expectation
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
        TransportError: the reader could not begin, or one of the requests could not be published.
    """
    gathering = Gathering(len(expected), wait_for)
    timed_out: list[ResultTimeoutError] = []
    settled: deque[int] = deque()
    some_settled = asyncio.Event()

    def note(index: int) -> None:
        settled.append(index)
        some_settled.set()

    try:
        for index, one in enumerate(expected):
            one.listen(partial(note, index))
        while not gathering.done and gathering.answered + len(timed_out) < len(gathering):
            await some_settled.wait()
            some_settled.clear()
            while settled:
                index = settled.popleft()
                try:
                    gathering.add(index, expected[index].outcome())
                except ResultTimeoutError as error:
                    timed_out.append(error)
                    continue
                if on_progress is not None:
                    on_progress(gathering.answered, len(gathering))
    finally:
        for one in expected:
            one.ignore()
    if not gathering.done and not return_partial_on_timeout:
        last = timed_out[-1]
        requests = [one.pending for one in expected]
        raise gathering.timed_out(requests, read_to=last.read_to, cause=last.cause, store=last.store) from last
    return gathering.replies
