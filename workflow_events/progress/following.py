"""The progress of one request as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from workflow_events.errors import WorkflowEventsError
from workflow_events.progress.reader import ProgressReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.async_reader import ReplyReader
    from workflow_events.replies.expectation import Expectation

__all__ = ["follow"]

_LAST_LOOK_SECONDS = 10.0
"""How long, with the result there, what was said before it may take to be read."""
_LAST_LOOK_AT_DEADLINE = 0.5


async def follow(reader: ReplyReader, pending: PendingRequest) -> AsyncGenerator[WorkflowEvent]:
    """What is heard of a request's run, from its begin on, in order; ends when the result is there or the deadline has come.

    It reads at its own pace: a slow follower slows neither the run nor other followers.

    Raises:
        TransportError: the progress topic is missing or may not be read.
    """
    events: deque[WorkflowEvent] = deque()
    news = asyncio.Event()

    def hear(event: WorkflowEvent) -> None:
        events.append(event)
        news.set()

    async with ProgressReader.lease(reader.settings) as progress:
        with progress.watch(pending, hear, news.set) as watch, reader.expect(pending) as expected:
            expected.listen(news.set)
            try:
                while not expected.settled:
                    if progress.failure is not None:
                        raise progress.failure
                    await news.wait()
                    news.clear()
                    while events:
                        yield events.popleft()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_patience(expected)):
                        while not watch.past_is_read:
                            await news.wait()
                            news.clear()
                        await progress.read_to_end()
                while events:
                    yield events.popleft()
            finally:
                expected.ignore()


def _patience(expected: Expectation) -> float:
    try:
        expected.outcome()
    except WorkflowEventsError:
        return _LAST_LOOK_AT_DEADLINE
    return _LAST_LOOK_SECONDS
