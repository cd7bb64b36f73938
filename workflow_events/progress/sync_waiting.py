"""Waits for a reply from a thread, with the request's clocks and with somebody who wants to hear of its progress."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from workflow_events.errors import NotAcceptedError, ResultTimeoutError, WorkerSilentError
from workflow_events.progress.ending_early import LONG_AGO
from workflow_events.progress.listening import Listening
from workflow_events.replies.sync_reader import LATE_LOOK_SECONDS
from workflow_events.replies.sync_scatter import collect_replies

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.progress.listening import LoopThread
    from workflow_events.replies.gathering import Gathering
    from workflow_events.replies.records import Reply
    from workflow_events.replies.sync_reader import SyncReplyReader

__all__ = ["collect_listening", "wait_listening"]

_SHORTEST_LOOK = 0.5
"""Seconds that a last look may take where the deadline has come too."""


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
            with closing(_what_is_there(reader, [pending])) as there:
                for _, reply in there:
                    return reply
            raise
    read = reader.progress()
    raise ResultTimeoutError(pending, read_to=read.read_to, cause=read.cause, store=read.store)


def collect_listening(
    gathering: Gathering,
    reader: SyncReplyReader,
    requests: Sequence[PendingRequest],
    thread: LoopThread,
    on_progress: Callable[[int, int], None] | None = None,
) -> NotAcceptedError | WorkerSilentError | None:
    """As :func:`collect_replies`, and it ends when the clocks of all that have not answered have run out.

    Returns:
        The error of one of those clocks; None where it did not end by them.
    """
    ran_out: dict[int, NotAcceptedError | WorkerSilentError] = {}
    with thread.running() as loop, ExitStack() as stack:
        listening = {
            index: stack.enter_context(Listening(reader.settings, request, loop))
            for index, request in enumerate(requests)
            if request.clocked
        }

        def look() -> None:
            for index, one in tuple(listening.items()):
                try:
                    one.take()
                except (NotAcceptedError, WorkerSilentError) as error:
                    ran_out[index] = error
                    del listening[index]
            missing = gathering.missing
            if missing and ran_out.keys() >= set(missing):
                raise ran_out[missing[0]]

        try:
            collect_replies(gathering, reader, requests, on_progress, look)
        except (NotAcceptedError, WorkerSilentError) as error:
            missing = gathering.missing
            with closing(_what_is_there(reader, [requests[index] for index in missing])) as there:
                for place, reply in there:
                    gathering.add(missing[place], reply)
            return error
    return None


def _what_is_there(reader: SyncReplyReader, requests: Sequence[PendingRequest]) -> Generator[tuple[int, Reply]]:
    """The replies that are in the log by now. Where the broker does not answer, it looks no longer than the deadline allows."""
    left = max([_SHORTEST_LOOK, *(request.remaining() for request in requests)])
    late = [request.model_copy(update={"deadline": LONG_AGO}) for request in requests]
    return reader.replies(late, late_look=min(left, LATE_LOOK_SECONDS))
