"""The reader for synchronous programs, on kafka-python and the same pure core.

One consumer, shared by the threads that wait (:mod:`~workflow_events.replies.sync_tail`): one of them leads and polls for all,
and hands over when it has its own reply (:mod:`~workflow_events.replies.sync_lead`). There is no background thread, so between
two waits nothing is read.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from workflow_events.errors import ResultTimeoutError
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.sync_lead import Lead
from workflow_events.replies.sync_tail import SHORTEST_SECONDS, SyncTail
from workflow_events.replies.window import RecentRecords
from workflow_events.signing import Signatures
from workflow_events.transport.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import datetime

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.correlator import Counts, Waiter
    from workflow_events.replies.records import Reply
    from workflow_events.replies.sync_second_source import SyncSecondSource
    from workflow_events.settings import KafkaSettings

__all__ = ["POLL_SECONDS", "Progress", "SyncReplyReader"]

_WINDOW_BYTES = 64 * 1024 * 1024
POLL_SECONDS = 0.5
_BETWEEN_SECONDS = 0.1
"""Who wants to do something between two polls is not kept from it for longer."""
LATE_LOOK_SECONDS = 10.0
"""Who begins to wait after the deadline is given this long at most to read what is already there."""


class Progress(NamedTuple):
    """How far a reader has read, for an error's text.

    Attributes:
        read_to: the next offset by partition.
        cause: the reader's last error, if it still holds.
        store: why the result store could not be asked the last time, if it could not.
    """

    read_to: dict[int, int]
    cause: str | None
    store: str | None


class SyncReplyReader:
    """Reads one reply topic for the threads that wait for a result there. Connects when first used.

    Args:
        partition: read this one alone, for requests that name it in their return address; all where None.
        poll_interval: seconds that one poll may take; a poll returns at once when there is something.
        window_bytes: bound on the memory for records that were read and may be asked for later.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        partition: int | None = None,
        poll_interval: float = POLL_SECONDS,
        window_bytes: int = _WINDOW_BYTES,
    ) -> None:
        self.settings = settings
        self.topic = topic
        self.partition = partition
        self.poll_interval = poll_interval
        # The lock guards all below; who leads holds the tail, and lets go of the lock while the network is waited for.
        lock = threading.RLock()
        signatures = Signatures.of(settings)
        self._correlator = Correlator(topic, signatures, max_bytes=settings.max_read_bytes)
        self._lead = Lead(lock, lambda: self._correlator.counts.delivered)
        self._second: SyncSecondSource | None = None
        if settings.result_store_url is not None:
            from workflow_events.replies.sync_second_source import SyncSecondSource  # noqa: PLC0415 - few have a store

            self._second = SyncSecondSource(settings, lock, self._correlator, self._lead.notify_all)
        self._tail = SyncTail(
            settings,
            self._correlator,
            RecentRecords(window_bytes, keep_headers=signatures is not None),
            lock,
            partition=partition,
            lost=partial(self._second.ask, insists=True) if self._second is not None else None,
        )

    @property
    def counts(self) -> Counts:
        """What has passed the correlator."""
        return self._correlator.counts

    def close(self) -> None:
        """Close the connections and forget what was read. The reader may be used again, and then connects anew."""
        with self._lead:
            self._lead.wait_for(lambda: not self._lead.taken)
            self._tail.close()

    def end_cursor(self, timeout: float | None = None) -> dict[int, int]:
        """The reply cursor for a request that is published after this call.

        Args:
            timeout: seconds until it is given up; ``connect_timeout`` where that is less, or where None.

        While another thread reads, it is where that one stands: at or before the topic's end, and asks nobody.

        Raises:
            TransportError: the broker cannot be asked.
        """
        with self._lead:
            if self._lead.taken and self._tail.positions:
                return dict(self._tail.positions)
        return self._ask(self._tail.end, timeout)

    def cursor_at(self, when: datetime) -> dict[int, int]:
        """A cursor that misses nothing stored after ``when`` (aware), by the broker's time index (KIP-79).

        Where the broker has no such index the cursor is the log's start.

        Raises:
            TransportError: the broker cannot be asked.
        """
        milliseconds = max(0, int(when.timestamp() * 1000))
        return self._ask(partial(self._tail.at_time, milliseconds))

    def wait(self, pending: PendingRequest) -> Reply:
        """The result of a request, whether it was there before or is yet to come.

        A wait that begins after the deadline still finds a result that is there.

        Raises:
            ResultTimeoutError: none by the deadline.
            TransportError: the broker refuses, or the topic does not exist.
        """
        with closing(self.replies([pending])) as coming:
            for _, reply in coming:
                return reply
        read = self.progress()
        raise ResultTimeoutError(pending, read_to=read.read_to, cause=read.cause, store=read.store)

    def replies(
        self,
        requests: Sequence[PendingRequest],
        *,
        between: Callable[[], None] | None = None,
        late_look: float = LATE_LOOK_SECONDS,
    ) -> Generator[tuple[int, Reply]]:
        """The results of many requests as they come, in one pass over the log, each with the index of its request.

        It ends when all have come, or at the latest deadline with those that have. Close it to stop waiting before.

        Args:
            between: called in this thread between two polls, while the broker answers. What it raises ends the wait.
            late_look: seconds that it may take, after the deadline of all, to read what is already there.

        Raises:
            TransportError: the broker refuses, or the topic does not exist.
        """
        seconds = max((request.remaining() for request in requests), default=0.0)
        late = seconds <= 0
        until = time.monotonic() + (late_look if late else seconds)
        arrived: deque[tuple[int, Reply]] = deque()
        left = len(requests)
        with self._lead:
            waiters = [
                self._correlator.register(request, partial(_note, arrived, index))
                for index, request in enumerate(requests)
            ]
            self._tail.join(waiters)
            if self._second is not None:
                for waiter in waiters:
                    self._second.ask_to_be_quick(waiter, self._tail.known_end)
        try:
            while left:
                with self._lead:
                    over = (
                        self._look(arrived, waiters, until)
                        if late
                        else self._await(arrived, until, once=between is not None)
                    )
                    if between is not None:
                        self._lead.notify()
                if between is not None:
                    between()
                if over and not arrived:
                    return
                while arrived:
                    left -= 1
                    # Outside of the lock: what the caller does meanwhile holds nobody up.
                    yield arrived.popleft()
        finally:
            with self._lead:
                self._tail.leave(waiters)
                for waiter in waiters:
                    self._correlator.forget(waiter)
                if self._second is not None:
                    self._second.leave(waiters)
                self._lead.notify()

    def progress(self) -> Progress:
        """How far was read, and the last errors if they still hold; for an error's text."""
        with self._lead:
            store = None if self._second is None else self._second.trouble
            return Progress(dict(self._tail.positions), self._tail.trouble, store)

    def _await(self, arrived: Sequence[tuple[int, Reply]], until: float, *, once: bool) -> bool:
        """Return when something has arrived, or there is no use in waiting on: whether that. The lock is held.

        Args:
            once: return after one poll or turn, too, and soon.
        """
        while not arrived and (left := until - time.monotonic()) > 0:
            soon = once or (self._second is not None and self._second.is_asking())
            longest = min(self.poll_interval, _BETWEEN_SECONDS) if soon else self.poll_interval
            if self._lead.taken or self._lead.asked_for:
                self._lead.wait(min(left, longest) if once else left)
            else:
                self._lead.take(partial(self._advance, until, longest, arrived))
            if once:
                return False
        return True

    def _look(self, arrived: Sequence[tuple[int, Reply]], waiters: Sequence[Waiter], until: float) -> bool:
        """Look once at what is there, before those who wait for what is to come; whether all of it was seen. The lock is held."""
        with self._lead.asking():
            left = max(0.0, until - time.monotonic())
            if not self._lead.wait_for(lambda: arrived or not self._lead.taken, left):
                return True
            if not arrived:
                self._lead.take(partial(self._advance, until, SHORTEST_SECONDS, arrived))
            if arrived or not self._tail.has_placed(waiters):
                return time.monotonic() >= until
            read = self._lead.take(partial(self._tail.has_read_all, until))
        if read and self._second is not None:
            second = self._second
            left = max(0.0, until - time.monotonic())
            self._lead.wait_for(lambda: arrived or not second.is_asking(waiters), left)
        return read

    def _ask(self, question: Callable[[Stopwatch], dict[int, int]], timeout: float | None = None) -> dict[int, int]:
        limit = self.settings.connect_timeout
        watch = Stopwatch(limit if timeout is None else min(timeout, limit))
        with self._lead, self._lead.asking():
            self._lead.wait_for(lambda: not self._lead.taken)
            return self._lead.take(partial(question, watch))

    def _advance(self, until: float, longest: float, arrived: Sequence[tuple[int, Reply]]) -> None:
        # While the broker is away the result store may answer.
        self._tail.advance(until, longest, lambda: self._second is not None and bool(arrived))


def _note(arrived: deque[tuple[int, Reply]], index: int, reply: Reply) -> None:
    arrived.append((index, reply))
