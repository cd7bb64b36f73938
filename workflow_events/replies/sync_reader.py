"""The reader for synchronous programs, on kafka-python and the same pure core.

One consumer, shared by the threads that wait: one of them leads and polls for all, and hands over when it has its own reply
(pattern: Leader/Followers). There is no background thread, so between two waits nothing is read. A waiter whose cursor lies
behind what is remembered makes the one consumer go back, once for all who wait.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from kafka import TopicPartition

from workflow_events.errors import (
    BrokerUnavailableError,
    ResultTimeoutError,
    ResultUnavailableError,
    TransportError,
)
from workflow_events.pending import PendingRequest
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.cursor import advance, clamp, distance, earliest, is_behind, reached
from workflow_events.replies.sync_log import SyncLog
from workflow_events.replies.window import RecentRecords
from workflow_events.retry import transport_retrying
from workflow_events.transport import blocking
from workflow_events.wire import correlation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from workflow_events.replies.correlator import Counts, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record, RecordPosition, Reply
    from workflow_events.settings import KafkaSettings

__all__ = ["SyncReplyReader"]

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_WINDOW_BYTES = 64 * 1024 * 1024
_POLL_SECONDS = 0.5
_SHORTEST_SECONDS = 0.05
_LATE_LOOK_SECONDS = 10.0
"""Who begins to wait after the deadline is given this long at most to read what is already there."""
_SKIP_RECORDS = 50_000
"""A reader that was idle jumps over more strangers than this; fewer are read sooner than a seek takes."""


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
        poll_interval: float = _POLL_SECONDS,
        window_bytes: int = _WINDOW_BYTES,
    ) -> None:
        self.settings = settings
        self.topic = topic
        self.partition = partition
        self.poll_interval = poll_interval
        self._log = SyncLog(settings, topic, partition)
        # The lock guards all below; who leads holds the log, and lets go of the lock while the network is waited for.
        self._turn = threading.Condition()
        self._leading = False
        self._correlator = Correlator(topic)
        self._recent = RecentRecords(window_bytes)
        self._positions: dict[int, int] = {}
        self._askers = 0
        # The log's end when it was last asked for: a cursor beyond it may stem from another log under the same name.
        self._known_end: dict[int, int] = {}
        self._fresh: list[Waiter] = []
        self._trouble: str | None = None

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

    def end_cursor(self) -> dict[int, int]:
        """The reply cursor for a request that is published after this call.

        While another thread reads, it is where that one stands: at or before the topic's end, and asks nobody.

        Raises:
            TransportError: the broker cannot be asked.
        """
        with self._turn:
            if self._leading and self._positions:
                return dict(self._positions)
        end = self._known_end = self._ask(self._log.end)
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
        seconds = pending.remaining()
        until = time.monotonic() + (seconds if seconds > 0 else _LATE_LOOK_SECONDS)
        arrived: list[Reply] = []
        with self._turn:
            waiter = self._correlator.register(pending, arrived.append)
            self._fresh.append(waiter)
            try:
                while not arrived and (left := until - time.monotonic()) > 0:
                    if self._leading or self._askers:
                        self._turn.wait(left)
                        continue
                    self._lead(lambda: self._advance(until))
                    if seconds <= 0 and waiter not in self._fresh and self._lead(lambda: self._has_read_all(until)):
                        break
            finally:
                self._correlator.forget(waiter)
                if waiter in self._fresh:
                    self._fresh.remove(waiter)
                self._turn.notify()
        if arrived:
            return arrived[0]
        raise ResultTimeoutError(pending, read_to=self._positions, cause=self._trouble)

    def read_at(self, position: RecordPosition, correlation_id: UUID) -> Reply:
        """A result by its place in the log.

        Raises:
            ResultUnavailableError: another record, or none, is there now.
            TransportError: the broker cannot be asked.
        """
        where = f"{position.topic}[{position.partition}]@{position.offset}"
        tp = TopicPartition(position.topic, position.partition)
        timeout_ms = int(self.settings.request_timeout * 1000)
        found: list[Reply] = []
        single = Correlator(position.topic)
        single.register(_anyone(position, correlation_id), found.append)
        consumer = blocking.new_consumer(self.settings)
        try:
            with blocking.map_errors(self.settings, f"read the result at {where}", topic=position.topic):
                consumer.assign([tp])
                first = consumer.beginning_offsets([tp], timeout_ms=timeout_ms)[tp]
                last = consumer.end_offsets([tp], timeout_ms=timeout_ms)[tp]
                if first <= position.offset < last:
                    consumer.seek(tp, position.offset)
                    for record in consumer.poll(timeout_ms=timeout_ms, max_records=1).get(tp, ()):
                        if record.offset == position.offset:
                            single.offer(record, correlation_key(correlation_id))
        finally:
            consumer.close()
        if not found:
            raise ResultUnavailableError(
                f"The result of request {correlation_id} is not at {where} any more; the log there runs from {first} to "
                f"{last}. Raise the topic's retention above the time between a result and its use, and ask again."
            )
        return found[0]

    def _ask(self, question: Callable[[float], dict[int, int]]) -> dict[int, int]:
        def ask() -> dict[int, int]:
            for attempt in transport_retrying(self.settings.connect_timeout):
                with attempt, self._dropping_what_broke():
                    return question(self.settings.connect_timeout)
            raise AssertionError("unreachable")  # pragma: no cover

        with self._turn:
            self._askers += 1
            try:
                self._turn.wait_for(lambda: not self._leading)
                return self._lead(ask)
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

    def _advance(self, until: float) -> None:
        """Place who is new and poll once; while the broker is away, again until there is no time left."""
        try:
            for attempt in transport_retrying(until - time.monotonic()):
                with attempt, self._dropping_what_broke():
                    self._try_advance(max(_SHORTEST_SECONDS, until - time.monotonic()))
        except BrokerUnavailableError:
            # The backoff would have outlasted the deadline; what is left of the time may still do.
            time.sleep(max(0.0, min(_SHORTEST_SECONDS, until - time.monotonic())))

    def _try_advance(self, seconds: float) -> None:
        new_connection = not self._log.connected
        partitions = self._log.partitions(seconds)
        with self._turn:
            fresh = list(self._fresh)
            target = self._serve(fresh, partitions)
        if target is None and (new_connection or len(partitions) > len(self._positions)):
            target = earliest([self._positions], partitions)
        if target is not None:
            self._move(target, seconds)
        with self._turn:
            self._fresh = [waiter for waiter in self._fresh if waiter not in fresh]
            if not all(map(self._correlator.is_waiting, fresh)):
                return
        batches = self._log.poll(min(self.poll_interval, seconds))
        with self._turn:
            for partition, records in batches.items():
                self._take(partition, records)
        self._trouble = None

    def _serve(self, fresh: Sequence[Waiter], partitions: Sequence[int]) -> dict[int, int] | None:
        """Serve new waiters from what is remembered; where to read on for those whom that does not serve."""
        if not fresh:
            return None
        wanted = earliest((waiter.pending.reply_cursor for waiter in fresh), partitions)
        alone = len(self._correlator) == len(fresh)
        beyond = is_behind(self._known_end, wanted)
        if not self._positions or (alone and (beyond or distance(self._positions, wanted) > _SKIP_RECORDS)):
            return wanted
        if not is_behind(wanted, self._positions):
            return None
        if not self._recent.covers(wanted):
            return earliest([wanted, self._positions], partitions)
        for waiter in fresh:
            for record in self._recent.find(waiter.key):
                self._correlator.offer(record, waiter.key)
        return None

    def _move(self, cursor: Cursor, seconds: float) -> None:
        self._known_end = self._log.end(seconds)
        clamped = clamp(cursor, self._log.beginning(seconds), self._known_end)
        if said := clamped.describe(self.topic):
            logger.warning("%s", said)
        self._log.read_from(clamped.start, seconds)
        if clamped.start != self._positions:
            self._positions = clamped.start
            self._recent.start_at(self._positions)

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        if records[0].offset < self._positions.get(partition, 0):
            # The client found its position beyond the log's end and went back to the start: the topic was made anew.
            self._positions[partition] = records[0].offset
            self._recent.start_at(self._positions)
        self._recent.append(partition, records)
        self._correlator.feed(records)
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
            self._trouble = str(error).rstrip(".")
            self._log.disconnect()
            if self._positions and not error.retryable:
                # It has been read before: brokers that come back may for a while not know their topics.
                raise BrokerUnavailableError(str(error)) from error
            raise


def _anyone(position: RecordPosition, correlation_id: UUID) -> PendingRequest:
    """A pending request that any result with this id answers."""
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="",
        workflow_run_id="",
        reply_topic=position.topic,
        reply_cursor={position.partition: position.offset},
        deadline=datetime.max.replace(tzinfo=UTC),
    )
