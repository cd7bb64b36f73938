"""Waits for many replies at once from a thread, in one pass over the log."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.gathering import Gathering
    from workflow_events.replies.sync_reader import SyncReplyReader

__all__ = ["collect_replies"]


def collect_replies(
    gathering: Gathering,
    reader: SyncReplyReader,
    requests: Sequence[PendingRequest],
    on_progress: Callable[[int, int], None] | None = None,
    between: Callable[[], None] | None = None,
) -> None:
    """Add replies to a gathering until it is done, or all deadlines are over.

    Args:
        gathering: of as many requests.
        reader: one that reads where all of them are answered.
        requests: what is waited for.
        on_progress: called with how many have answered, and of how many, whenever one has.
        between: see :meth:`SyncReplyReader.replies`.

    Raises:
        TransportError: the broker refuses, or the topic does not exist.
    """
    with closing(reader.replies(requests, between=between)) as coming:
        for index, reply in coming:
            gathering.add(index, reply)
            if on_progress is not None:
                on_progress(gathering.answered, len(gathering))
            if gathering.done:
                return
