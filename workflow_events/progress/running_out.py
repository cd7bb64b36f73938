"""Lets the clocks of one wait run on what the progress reader hears, until one of them has run out."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from workflow_events.errors import NotAcceptedError, WorkerSilentError
from workflow_events.progress.clocks import Clocks, Verdict
from workflow_events.progress.watching import sign_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.progress.reader import ProgressReader

__all__ = ["LOOK_AGAIN_SECONDS", "run_out", "within"]

LOOK_AGAIN_SECONDS = 0.5
"""How often to look whether what could not be read can be read again."""
_HEAR_SECONDS = 2.0
_ASK_SECONDS = 0.6
"""What the brokers are given to tell of the workers' group, so that an error comes within a second of its clock."""


async def run_out(
    progress: ProgressReader,
    pending: PendingRequest,
    *,
    tell: Callable[[WorkflowEvent], None] | None = None,
    since: dict[int, int] | None = None,
) -> NotAcceptedError | WorkerSilentError:
    """Wait until a clock of the request has run out; the error that says which, and why. Cancel it when there is a reply.

    A clock judges only once the request's past is read, and everything that is in the topic at that moment. While the topic
    cannot be read for a passing reason it is held; silence counts from when the reader could hear again.

    Args:
        tell: called with each event besides.
        since: see :meth:`ProgressReader.watch`.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    accepted_in = pending.until_accepted_by()
    clocks = Clocks(
        began,
        accepted_by=None if accepted_in is None else began + accepted_in,
        heartbeat_timeout=pending.heartbeat_timeout,
    )
    news = asyncio.Event()

    def hear(event: WorkflowEvent) -> None:
        clocks.hear(sign_of(event), clock())
        news.set()
        if tell is not None:
            tell(event)

    with progress.watch(pending, hear, news.set, since=since) as watch:
        while True:
            if progress.failure is not None:
                clocks.deafen()
            clocks.listening_since(progress.heard_since)
            due = clocks.due()
            if due is None or clock() < due:
                news.clear()
                await _either(news, due)
                continue
            if progress.failure is None and not (watch.past_is_read and await within(progress.read_to_end())):
                clocks.listening_since(clock())
                news.clear()
                await _either(news, clock() + LOOK_AGAIN_SECONDS)
                continue
            clocks.listening_since(progress.heard_since)
            verdict = clocks.judge(clock())
            if verdict is None:
                continue
            error = await _error(progress, pending, clocks, verdict)
            # Asking took time, in which a worker may have been heard.
            if clocks.judge(clock()) is verdict:
                return error


async def within(reading: Awaitable[bool]) -> bool:
    """What ``reading`` says; False where it takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HEAR_SECONDS):
            return await reading
    return False


async def _either(news: asyncio.Event, due: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(due):
            await news.wait()


async def _error(
    progress: ProgressReader, pending: PendingRequest, clocks: Clocks, verdict: Verdict
) -> NotAcceptedError | WorkerSilentError:
    unheard = None if progress.failure is None else str(progress.failure)
    if verdict is Verdict.NOT_ACCEPTED:
        group = None if unheard else await progress.group.report(_ASK_SECONDS)
        return NotAcceptedError(pending, group=group, unheard=unheard)
    last = clocks.last
    said = None if last is None else last.what + (f" in node {last.node!r}" if last.node else "")
    return WorkerSilentError(
        pending,
        worker=clocks.worker,
        last_event=said,
        silent_for=clocks.silent_for(asyncio.get_running_loop().time()),
        unheard=unheard,
    )
