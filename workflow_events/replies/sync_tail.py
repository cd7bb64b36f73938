"""Reads a topic on for the threads that wait, and goes back for those whose cursor it has passed.

One place in the log for all, for there is one consumer. Who is a little behind is served from what is remembered
(:mod:`~workflow_events.replies.window`), who is further behind makes it go back, once for all who wait.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workflow_events.errors import BrokerUnavailableError, TransportError
from workflow_events.replies.cursor import advance, clamp, distance, earliest, is_behind, reached
from workflow_events.replies.sync_log import SyncLog
from workflow_events.retry import transport_retrying
from workflow_events.wire import correlation_keys

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.correlator import Correlator, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record
    from workflow_events.replies.window import RecentRecords
    from workflow_events.settings import KafkaSettings
    from workflow_events.transport.timing import Stopwatch

__all__ = ["SHORTEST_SECONDS", "SyncTail"]

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.05
"""The broker is given no less than this for an answer, however close the deadline."""
_SKIP_RECORDS = 50_000
"""A reader that was idle jumps over more strangers than this; fewer are read sooner than a seek takes."""


class SyncTail:
    """The consumer of one reader, and its place in the log. Connects when first used.

    The methods that ask the broker are for the thread that leads, without the lock; for all others the lock is held.

    Args:
        correlator: its waiters are offered what is read.
        recent: remembers what is read.
        lock: the reader's.
        partition: read this one alone; all where None.
        lost: called, with the lock held, for each waiter that has lost its place in the log.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        correlator: Correlator,
        recent: RecentRecords,
        lock: threading.RLock,
        *,
        partition: int | None = None,
        lost: Callable[[Waiter], None] | None = None,
    ) -> None:
        self.positions: dict[int, int] = {}
        # The log's end when it was last asked for: a cursor beyond it may stem from another log under the same name.
        self.known_end: dict[int, int] = {}
        self.trouble: str | None = None
        self._topic = correlator.topic
        self._log = SyncLog(settings, correlator.topic, partition)
        self._correlator = correlator
        self._recent = recent
        self._lock = lock
        self._lost = lost
        self._fresh: set[Waiter] = set()

    def join(self, waiters: Iterable[Waiter]) -> None:
        """Have the log read for these, from their cursors on."""
        self._fresh.update(waiters)

    def leave(self, waiters: Iterable[Waiter]) -> None:
        """Read no more for those who no longer wait."""
        self._fresh.difference_update(waiters)

    def has_placed(self, waiters: Iterable[Waiter]) -> bool:
        """Whether each of these was served from what is remembered, or has what it waits for read from now on."""
        return self._fresh.isdisjoint(waiters)

    def close(self) -> None:
        """Close the connection and forget what was read."""
        self.positions = {}
        self._recent.start_at({})
        self._log.disconnect()

    def end(self, watch: Stopwatch) -> dict[int, int]:
        """The log's end, asked for until the time is over.

        Raises:
            TransportError: the broker cannot be asked.
        """
        self.known_end = self._ask(self._log.end, watch)
        return dict(self.known_end)

    def at_time(self, milliseconds: int, watch: Stopwatch) -> dict[int, int]:
        """A cursor that misses nothing stored at or after a time (Unix milliseconds), asked for until the time is over.

        Raises:
            TransportError: the broker cannot be asked.
        """
        return self._ask(lambda seconds: self._log.at_time(milliseconds, seconds), watch)

    def advance(self, until: float, longest: float, enough: Callable[[], bool]) -> None:
        """Place who is new and poll once, for ``longest`` seconds at most.

        Args:
            until: while the broker is away, again up to this time (monotonic).
            enough: whether to leave off before.

        Raises:
            TransportError: the broker refuses, or the topic does not exist.
        """
        retrying = transport_retrying(until - time.monotonic())
        no_time_left = retrying.stop
        retrying.stop = lambda state: enough() or no_time_left(state)
        try:
            for attempt in retrying:
                with attempt, self._dropping_what_broke():
                    self._try_advance(max(SHORTEST_SECONDS, until - time.monotonic()), longest)
        except BrokerUnavailableError:
            # The backoff would have outlasted the deadline; what is left of the time may still do.
            time.sleep(max(0.0, min(SHORTEST_SECONDS, until - time.monotonic())))

    def has_read_all(self, until: float) -> bool:
        """Whether everything that is in the log now has been read; asked once.

        Raises:
            TransportError: the broker refuses, or the topic does not exist.
        """
        seconds = max(SHORTEST_SECONDS, until - time.monotonic())
        try:
            with self._dropping_what_broke():
                end = self._log.end(seconds)
                return reached(self._log.position(end, seconds), end)
        except BrokerUnavailableError:
            return False

    def _ask(self, question: Callable[[float], dict[int, int]], watch: Stopwatch) -> dict[int, int]:
        for attempt in transport_retrying(watch.remaining()):
            with attempt, self._dropping_what_broke():
                return question(max(SHORTEST_SECONDS, watch.remaining()))
        raise AssertionError("unreachable")  # pragma: no cover

    def _try_advance(self, seconds: float, longest: float) -> None:
        new_connection = not self._log.connected
        partitions = self._log.partitions(seconds)
        with self._lock:
            fresh = tuple(self._fresh)
            target = self._serve(fresh, partitions)
        if target is None and (new_connection or len(partitions) > len(self.positions)):
            target = earliest([self.positions], partitions)
        if target is not None:
            self._move(target, partitions, seconds)
        with self._lock:
            self._fresh.difference_update(fresh)
            if not all(map(self._correlator.is_waiting, fresh)):
                return
        batches = self._log.poll(min(longest, seconds))
        with self._lock:
            for partition, records in batches.items():
                self._take(partition, records)
        if not batches and (rewound := self._log.rewound(self.positions)):
            # All that it holds is new. From its start, for it may have grown to where this reader stood.
            logger.warning("the log of %r was made anew or truncated; reading it from its start", self._topic)
            self._lose_places()
            self._move({**self.positions, **dict.fromkeys(rewound, 0)}, partitions, seconds)
        self.trouble = None if batches else _trimmed(self._log.trouble())

    def _serve(self, fresh: Sequence[Waiter], partitions: Sequence[int]) -> dict[int, int] | None:
        """Serve new waiters from what is remembered; where to read on for those whom that does not serve."""
        if not fresh:
            return None
        wanted = _wanted(fresh, partitions)
        # What lies where none of them waits is none of their business, and counts as read.
        theirs = {**self.positions, **wanted}
        alone = len(self._correlator) == len(fresh)
        beyond = is_behind(self.known_end, wanted)
        if not self.positions or (alone and (beyond or distance(self.positions, theirs) > _SKIP_RECORDS)):
            return theirs
        if not is_behind(theirs, self.positions):
            return None
        if not self._recent.covers(theirs):
            return earliest([theirs, self.positions], partitions)
        for waiter in fresh:
            for record in self._recent.find(waiter.key):
                self._correlator.offer(record, waiter.key)
        return None

    def _move(self, cursor: Cursor, partitions: Sequence[int], seconds: float) -> None:
        self.known_end = self._log.end(seconds)
        # A known partition that the cursor does not name is one where nobody waits.
        skipped = {partition: self.known_end.get(partition, 0) for partition in partitions}
        first = self._log.beginning(seconds)
        clamped = clamp({**skipped, **cursor}, first, self.known_end)
        if said := clamped.describe(self._topic):
            logger.warning("%s", said)
            self._lose_places(None if clamped.rewound else first)
        self._log.read_from(clamped.start, seconds)
        if clamped.start != self.positions:
            self.positions = clamped.start
            self._recent.start_at(self.positions)

    def _lose_places(self, first: Cursor | None = None) -> None:
        """The log has lost what somebody had yet to read, and with it maybe a result.

        Args:
            first: where it begins now; None: it is another log than it was, which concerns everybody.
        """
        if self._lost is None:
            return
        with self._lock:
            for waiter in self._correlator.waiters():
                if first is None or _lies_below(first, waiter.pending):
                    self._lost(waiter)

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        if records[0].offset < self.positions.get(partition, 0):
            # The client found its position beyond the log's end and went back to the start: the topic was made anew.
            self.positions[partition] = records[0].offset
            self._lose_places()
            self._recent.start_at(self.positions)
        keys = correlation_keys(records)
        self._recent.append(partition, records, keys)
        self._correlator.feed(records, keys)
        advance(self.positions, partition, records[-1].offset + 1)

    @contextmanager
    def _dropping_what_broke(self) -> Iterator[None]:
        try:
            yield
        except TransportError as error:
            self.trouble = _trimmed(str(error))
            self._log.disconnect()
            if self.positions and not error.retryable:
                # It has been read before: brokers that come back may for a while not know their topics.
                raise BrokerUnavailableError(str(error)) from error
            raise


def _wanted(waiters: Iterable[Waiter], partitions: Sequence[int]) -> dict[int, int]:
    """Where to read for all of these waiters; a partition in which none of them waits is not named."""
    wanted: dict[int, int] = {}
    for waiter in waiters:
        cursor, only = waiter.pending.reply_cursor, waiter.pending.reply_partition
        for partition in partitions if only is None else (only,):
            offset = cursor.get(partition, 0)
            wanted[partition] = min(offset, wanted.get(partition, offset))
    return wanted


def _lies_below(first: Cursor, pending: PendingRequest) -> bool:
    cursor, only = pending.reply_cursor, pending.reply_partition
    return any(cursor.get(at, offset) < offset for at, offset in first.items() if only is None or at == only)


def _trimmed(said: str | None) -> str | None:
    return None if said is None else said.rstrip(".")
