"""The reader for synchronous programs, on kafka-python and the same pure core.

One consumer, shared by the threads that wait: one of them leads and polls for all, and hands over when it has its own reply
(pattern: Leader/Followers). There is no background thread, so between two waits nothing is read. A waiter whose cursor lies
behind what is remembered makes the one consumer go back, once for all who wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from workflow_events.errors import BrokerUnavailableError, ResultTimeoutError, TransportError
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.cursor import advance, clamp, distance, earliest, is_behind, reached
from workflow_events.replies.sync_log import SyncLog
from workflow_events.replies.window import RecentRecords
from workflow_events.retry import transport_retrying
from workflow_events.signing import Signatures
from workflow_events.transport.timing import Stopwatch
from workflow_events.wire import correlation_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from datetime import datetime

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.correlator import Counts, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record, Reply
    from workflow_events.replies.sync_second_source import SyncSecondSource
    from workflow_events.settings import KafkaSettings

__all__ = ["POLL_SECONDS", "Progress", "SyncReplyReader"]

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_WINDOW_BYTES = 64 * 1024 * 1024
POLL_SECONDS = 0.5
_BETWEEN_SECONDS = 0.1
"""Who wants to do something between two polls is not kept from it for longer."""
_SHORTEST_SECONDS = 0.05
LATE_LOOK_SECONDS = 10.0
"""Who begins to wait after the deadline is given this long at most to read what is already there."""
_SKIP_RECORDS = 50_000
"""A reader that was idle jumps over more strangers than this; fewer are read sooner than a seek takes."""


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
        self._log = SyncLog(settings, topic, partition)
        # The lock guards all below; who leads holds the log, and lets go of the lock while the network is waited for.
        lock = threading.RLock()
        self._turn = threading.Condition(lock)
        self._leading = False
        signatures = Signatures.of(settings)
        self._correlator = Correlator(topic, signatures, max_bytes=settings.max_read_bytes)
        self._recent = RecentRecords(window_bytes, keep_headers=signatures is not None)
        self._positions: dict[int, int] = {}
        self._askers = 0
        # The log's end when it was last asked for: a cursor beyond it may stem from another log under the same name.
        self._known_end: dict[int, int] = {}
        self._fresh: set[Waiter] = set()
        self._trouble: str | None = None
        self._second: SyncSecondSource | None = None
        if settings.result_store_url is not None:
            from workflow_events.replies.sync_second_source import SyncSecondSource  # noqa: PLC0415 - few have a store

            self._second = SyncSecondSource(settings, lock, self._correlator, self._turn.notify_all)

    @property
    def counts(self) -> Counts:
        """What has passed the correlator."""
        return self._correlator.counts

    def close(self) -> None:
        """Close the connections and forget what was read. The reader may be used again, and then connects anew."""
        with self._turn:
            self._turn.wait_for(lambda: not self._leading)
            self._positions = {}
            self._recent.start_at({})
            self._log.disconnect()

    def end_cursor(self, timeout: float | None = None) -> dict[int, int]:
        """The reply cursor for a request that is published after this call.

        Args:
            timeout: seconds until it is given up; ``connect_timeout`` where that is less, or where None.

        While another thread reads, it is where that one stands: at or before the topic's end, and asks nobody.

        Raises:
            TransportError: the broker cannot be asked.
        """
        with self._turn:
            if self._leading and self._positions:
                return dict(self._positions)
        end = self._known_end = self._ask(self._log.end, timeout)
        return dict(end)

    def cursor_at(self, when: datetime) -> dict[int, int]:
        """A cursor that misses nothing stored after ``when`` (aware), by the broker's time index (KIP-79).

        Where the broker has no such index the cursor is the log's start.

        Raises:
            TransportError: the broker cannot be asked.
        """
        milliseconds = max(0, int(when.timestamp() * 1000))
        return self._ask(lambda seconds: self._log.at_time(milliseconds, seconds))

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
        with self._turn:
            waiters = [
                self._correlator.register(request, partial(_note, arrived, index))
                for index, request in enumerate(requests)
            ]
            self._fresh.update(waiters)
            if self._second is not None:
                for waiter in waiters:
                    self._second.ask_to_be_quick(waiter, self._known_end)
        try:
            while left:
                with self._turn:
                    over = (
                        self._look(arrived, waiters, until)
                        if late
                        else self._await(arrived, until, once=between is not None)
                    )
                    if between is not None:
                        self._turn.notify()
                if between is not None:
                    between()
                if over and not arrived:
                    return
                while arrived:
                    left -= 1
                    # Outside of the lock: what the caller does meanwhile holds nobody up.
                    yield arrived.popleft()
        finally:
            with self._turn:
                self._fresh.difference_update(waiters)
                for waiter in waiters:
                    self._correlator.forget(waiter)
                if self._second is not None:
                    self._second.leave(waiters)
                self._turn.notify()

    def progress(self) -> Progress:
        """How far was read, and the last errors if they still hold; for an error's text."""
        with self._turn:
            store = None if self._second is None else self._second.trouble
            return Progress(dict(self._positions), self._trouble, store)

    def _await(self, arrived: Sequence[tuple[int, Reply]], until: float, *, once: bool) -> bool:
        """Return when something has arrived, or there is no use in waiting on: whether that. The lock is held.

        Args:
            once: return after one poll or turn, too, and soon.
        """
        while not arrived and (left := until - time.monotonic()) > 0:
            soon = once or (self._second is not None and self._second.is_asking())
            longest = min(self.poll_interval, _BETWEEN_SECONDS) if soon else self.poll_interval
            if self._leading or self._askers:
                self._turn.wait(min(left, longest) if once else left)
            else:
                self._lead(partial(self._advance, until, longest, arrived))
            if once:
                return False
        return True

    def _look(self, arrived: Sequence[tuple[int, Reply]], waiters: Sequence[Waiter], until: float) -> bool:
        """Look once at what is there, before those who wait for what is to come; whether all of it was seen. The lock is held."""
        with self._asking():
            left = max(0.0, until - time.monotonic())
            if not self._turn.wait_for(lambda: arrived or not self._leading, left):
                return True
            if not arrived:
                self._lead(lambda: self._advance(until, _SHORTEST_SECONDS, arrived))
            if arrived or not self._fresh.isdisjoint(waiters):
                return time.monotonic() >= until
            read = self._lead(lambda: self._has_read_all(until))
        if read and self._second is not None:
            second = self._second
            left = max(0.0, until - time.monotonic())
            self._turn.wait_for(lambda: arrived or not second.is_asking(waiters), left)
        return read

    def _ask(self, question: Callable[[float], dict[int, int]], timeout: float | None = None) -> dict[int, int]:
        limit = self.settings.connect_timeout
        watch = Stopwatch(limit if timeout is None else min(timeout, limit))

        def ask() -> dict[int, int]:
            for attempt in transport_retrying(watch.remaining()):
                with attempt, self._dropping_what_broke():
                    return question(max(_SHORTEST_SECONDS, watch.remaining()))
            raise AssertionError("unreachable")  # pragma: no cover

        with self._turn, self._asking():
            self._turn.wait_for(lambda: not self._leading)
            return self._lead(ask)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Who leads lets go after its poll, and nobody takes the lead but those who ask. The lock is held."""
        self._askers += 1
        try:
            yield
        finally:
            self._askers -= 1
            self._turn.notify_all()

    def _lead(self, step: Callable[[], _Answer]) -> _Answer:
        """Do a step that needs the log, without the lock; entered and left holding it."""
        delivered = self._correlator.counts.delivered
        self._leading = True
        self._turn.release()
        try:
            return step()
        finally:
            self._turn.acquire()
            self._leading = False
            if self._askers or delivered != self._correlator.counts.delivered:
                self._turn.notify_all()

    def _advance(self, until: float, longest: float, arrived: Sequence[tuple[int, Reply]]) -> None:
        """Place who is new and poll once, for ``longest`` seconds at most.

        While the broker is away, again until there is no time left, or the result store has answered.
        """
        retrying = transport_retrying(until - time.monotonic())
        if self._second is not None:
            no_time_left = retrying.stop
            retrying.stop = lambda state: bool(arrived) or no_time_left(state)
        try:
            for attempt in retrying:
                with attempt, self._dropping_what_broke():
                    self._try_advance(max(_SHORTEST_SECONDS, until - time.monotonic()), longest)
        except BrokerUnavailableError:
            # The backoff would have outlasted the deadline; what is left of the time may still do.
            time.sleep(max(0.0, min(_SHORTEST_SECONDS, until - time.monotonic())))

    def _try_advance(self, seconds: float, longest: float) -> None:
        new_connection = not self._log.connected
        partitions = self._log.partitions(seconds)
        with self._turn:
            fresh = tuple(self._fresh)
            target = self._serve(fresh, partitions)
        if target is None and (new_connection or len(partitions) > len(self._positions)):
            target = earliest([self._positions], partitions)
        if target is not None:
            self._move(target, partitions, seconds)
        with self._turn:
            self._fresh.difference_update(fresh)
            if not all(map(self._correlator.is_waiting, fresh)):
                return
        batches = self._log.poll(min(longest, seconds))
        with self._turn:
            for partition, records in batches.items():
                self._take(partition, records)
        if not batches and (rewound := self._log.rewound(self._positions)):
            # All that it holds is new. From its start, for it may have grown to where this reader stood.
            logger.warning("the log of %r was made anew or truncated; reading it from its start", self.topic)
            self._lose_places()
            self._move({**self._positions, **dict.fromkeys(rewound, 0)}, partitions, seconds)
        self._trouble = None if batches else _trimmed(self._log.trouble())

    def _serve(self, fresh: Sequence[Waiter], partitions: Sequence[int]) -> dict[int, int] | None:
        """Serve new waiters from what is remembered; where to read on for those whom that does not serve."""
        if not fresh:
            return None
        wanted = _wanted(fresh, partitions)
        # What lies where none of them waits is none of their business, and counts as read.
        theirs = {**self._positions, **wanted}
        alone = len(self._correlator) == len(fresh)
        beyond = is_behind(self._known_end, wanted)
        if not self._positions or (alone and (beyond or distance(self._positions, theirs) > _SKIP_RECORDS)):
            return theirs
        if not is_behind(theirs, self._positions):
            return None
        if not self._recent.covers(theirs):
            return earliest([theirs, self._positions], partitions)
        for waiter in fresh:
            for record in self._recent.find(waiter.key):
                self._correlator.offer(record, waiter.key)
        return None

    def _move(self, cursor: Cursor, partitions: Sequence[int], seconds: float) -> None:
        self._known_end = self._log.end(seconds)
        # A known partition that the cursor does not name is one where nobody waits.
        skipped = {partition: self._known_end.get(partition, 0) for partition in partitions}
        first = self._log.beginning(seconds)
        clamped = clamp({**skipped, **cursor}, first, self._known_end)
        if said := clamped.describe(self.topic):
            logger.warning("%s", said)
            self._lose_places(None if clamped.rewound else first)
        self._log.read_from(clamped.start, seconds)
        if clamped.start != self._positions:
            self._positions = clamped.start
            self._recent.start_at(self._positions)

    def _lose_places(self, first: Cursor | None = None) -> None:
        """The log has lost what somebody had yet to read, and with it maybe a result.

        Args:
            first: where it begins now; None: it is another log than it was, which concerns everybody.
        """
        if self._second is None:
            return
        with self._turn:
            for waiter in self._correlator.waiters():
                if first is None or _lies_below(first, waiter.pending):
                    self._second.ask(waiter, insists=True)

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        if records[0].offset < self._positions.get(partition, 0):
            # The client found its position beyond the log's end and went back to the start: the topic was made anew.
            self._positions[partition] = records[0].offset
            self._lose_places()
            self._recent.start_at(self._positions)
        keys = correlation_keys(records)
        self._recent.append(partition, records, keys)
        self._correlator.feed(records, keys)
        advance(self._positions, partition, records[-1].offset + 1)

    def _has_read_all(self, until: float) -> bool:
        """Whether everything that is in the log now has been read."""
        seconds = max(_SHORTEST_SECONDS, until - time.monotonic())
        try:
            with self._dropping_what_broke():
                end = self._log.end(seconds)
                return reached(self._log.position(end, seconds), end)
        except BrokerUnavailableError:
            return False

    @contextmanager
    def _dropping_what_broke(self) -> Iterator[None]:
        try:
            yield
        except TransportError as error:
            self._trouble = _trimmed(str(error))
            self._log.disconnect()
            if self._positions and not error.retryable:
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


def _note(arrived: deque[tuple[int, Reply]], index: int, reply: Reply) -> None:
    arrived.append((index, reply))
