"""Ends waits of an event loop early where a clock has run out; the reply wins over the clock."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workflow_events.errors import ResultTimeoutError
from workflow_events.progress.reader import ProgressReader
from workflow_events.progress.running_out import LOOK_AGAIN_SECONDS, run_out, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.async_reader import ReplyReader
    from workflow_events.replies.expectation import Expectation
    from workflow_events.replies.records import Reply

__all__ = ["LONG_AGO", "clocked_reply", "clocks_running"]

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""A deadline for who only looks at what is there."""
_FIRST_LOOK_SECONDS = 1.0
"""How long a request may be held back so that its clocks hear from the topic's end; else they look back by its id's time."""


async def clocked_reply(reader: ReplyReader, expected: Expectation) -> Reply:
    """The reply, or the error of the clock that ran out before it.

    Raises:
        NotAcceptedError, WorkerSilentError: as the request's clocks say.
        ResultTimeoutError, TransportError: as without clocks.
    """
    async with clocks_running(reader, [expected]):
        return await expected.reply()


@contextlib.asynccontextmanager
async def clocks_running(
    reader: ReplyReader, expected: Sequence[Expectation], *, published: bool = True
) -> AsyncIterator[None]:
    """While the block lasts, the waits among ``expected`` whose requests have clocks fail when one runs out.

    Args:
        reader: whose waiters they are.
        published: False where the requests are yet to be published, inside the block.
    """
    clocked = [one for one in expected if one.pending.clocked]
    if not clocked:
        yield
        return
    async with ProgressReader.lease(reader.settings) as progress:
        since: dict[int, int] = {}
        if not published:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                    await progress.began.wait()
            since = progress.cursor()
        running = {asyncio.create_task(_end_early(progress, reader, one, since or None)) for one in clocked}
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            broken = [error for task in running if not task.cancelled() and (error := task.exception())]
        if broken:
            raise broken[0]


async def _end_early(
    progress: ProgressReader, reader: ReplyReader, expected: Expectation, since: dict[int, int] | None
) -> None:
    while True:
        error = await run_out(progress, expected.pending, since=since)
        there = await _answered(reader, expected.pending)
        if there is not None:
            # Where the reply is there, who waits has it too.
            expected.fail(error)
            return
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _answered(reader: ReplyReader, pending: PendingRequest) -> bool | None:
    """Whether the reply lies in the log; None where that cannot be read."""
    if not await within(reader.read_to_end()):
        return None
    with reader.expect(pending.model_copy(update={"deadline": LONG_AGO})) as look:
        try:
            await look.reply()
        except ResultTimeoutError:
            return False if reader.trouble() is None else None
    return True
