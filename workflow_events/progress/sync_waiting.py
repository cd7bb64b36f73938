"""Waits for a reply from a thread, with the request's clocks and with somebody who wants to hear of its progress."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from workflow_events.errors import NotAcceptedError, ResultTimeoutError, WorkerSilentError
from workflow_events.progress.ending_early import LONG_AGO
from workflow_events.progress.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.progress.listening import LoopThread
    from workflow_events.replies.records import Reply
    from workflow_events.replies.sync_reader import SyncReplyReader

__all__ = ["wait_listening"]


def wait_listening(
    reader: SyncReplyReader,
    pending: PendingRequest,
    thread: LoopThread,
    on_progress: Callable[[WorkflowEvent], None] | None = None,
) -> Reply:
    """The result of a request, as :meth:`SyncReplyReader.wait` gives it.

    Args:
        thread: where the progress is read.
        on_progress: called in this thread with each event of the run, in order, and not after the return. It is called between
            two polls, so that what takes long in it holds up this wait alone.

    Raises:
        NotAcceptedError, WorkerSilentError: a clock of the request ran out, and there is no reply.
        ResultTimeoutError: none by the deadline.
        TransportError: the broker refuses, or the topic does not exist.
    """
    with thread.running() as loop, Listening(reader.settings, pending, loop, on_progress) as listening:
        try:
            with closing(reader.replies([pending], between=listening.take)) as coming:
                for _, reply in coming:
                    listening.finish()
                    return reply
        except (NotAcceptedError, WorkerSilentError):
            # The reply wins: one look at all that is there.
            with closing(reader.replies([pending.model_copy(update={"deadline": LONG_AGO})])) as there:
                for _, reply in there:
                    return reply
            raise
    read_to, cause = reader.progress()
    raise ResultTimeoutError(pending, read_to=read_to, cause=cause)
