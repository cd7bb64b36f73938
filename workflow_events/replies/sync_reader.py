"""The reader for synchronous programs, on kafka-python and the same pure core.

One consumer, shared by the threads that wait: whoever holds the lock polls for all (pattern: Leader/Followers). There is no
background thread, so between two waits nothing is read. A waiter whose cursor lies behind what is remembered makes the
one consumer go back.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from kafka import TopicPartition

from workflow_events.errors import (
    BrokerUnavailableError,
    ResultTimeoutError,
    ResultUnavailableError,
    TopicNotFoundError,
    TransportError,
)
from workflow_events.pending import PendingRequest
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.cursor import advance, clamp, earliest, from_times, is_behind, reached
from workflow_events.replies.window import RecentRecords
from workflow_events.retry import transport_retrying
from workflow_events.transport import blocking
from workflow_events.wire import correlation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from kafka import KafkaConsumer

    from workflow_events.replies.correlator import Counts, Waiter
    from workflow_events.replies.records import Record, RecordPosition, Reply
    from workflow_events.settings import KafkaSettings

__all__ = ["SyncReplyReader"]

logger = logging.getLogger(__name__)

_WINDOW_BYTES = 64 * 1024 * 1024
_POLL_SECONDS = 0.1
"""How long one thread polls before another gets its turn. A poll returns at once when there is something."""
_LATE_LOOK_SECONDS = 10.0
_MAX_RECORDS = 1000
_METADATA_MAX_AGE_MS = 10_000


class SyncReplyReader:
    """Reads one reply topic for the threads that wait for a result there. Connects when first used.

    Args:
        window_bytes: bound on the memory for records that were read and may be asked for later.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, window_bytes: int = _WINDOW_BYTES) -> None:
        self.settings = settings
        self.topic = topic
        self._correlator = Correlator(topic)
        self._recent = RecentRecords(window_bytes)
        self._positions: dict[int, int] = {}
        self._consumer: KafkaConsumer | None = None
        self._unplaced: set[Waiter] = set()
        self._end: dict[int, int] = {}
        self._lock = threading.Lock()
        self._trouble: str | None = None

    @property
    def counts(self) -> Counts:
        """What has passed the correlator."""
        return self._correlator.counts

    def close(self) -> None:
        """Close the connections and forget what was read. The reader may be used again, and then connects anew."""
        with self._lock:
            consumer, self._consumer = self._consumer, None
            self._positions = {}
            self._recent.start_at({})
        if consumer is not None:
            consumer.close()

    def end_cursor(self) -> dict[int, int]:
        """The reply cursor for a request that is published after this call.

        Raises:
            TransportError: the broker cannot be asked.
        """
        return self._ask(lambda consumer, seconds: self._offsets(consumer, "end", seconds))

    def cursor_at(self, when: datetime) -> dict[int, int]:
        """A cursor that misses nothing stored after ``when`` (aware), by the broker's time index (KIP-79).

        Where the broker has no such index the cursor is the log's start.

        Raises:
            TransportError: the broker cannot be asked.
        """
        milliseconds = max(0, int(when.timestamp() * 1000))

        def ask(consumer: KafkaConsumer, seconds: float) -> dict[int, int]:
            # The end first: what is stored between the two questions lies behind the cursor, not before it.
            last = self._offsets(consumer, "end", seconds)
            first = self._offsets(consumer, "beginning", seconds)
            with blocking.map_errors(self.settings, "look up by time", topic=self.topic):
                found = consumer.offsets_for_times(
                    {self._tp(partition): milliseconds for partition in last}, timeout_ms=self._timeout_ms(seconds)
                )
            times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
            return from_times(times, first, last)

        return self._ask(ask)

    def _ask(self, question: Callable[[KafkaConsumer, float], dict[int, int]]) -> dict[int, int]:
        seconds = self.settings.connect_timeout
        with self._lock:
            for attempt in transport_retrying(seconds):
                with attempt:
                    try:
                        return question(self._connected(seconds), seconds)
                    except TransportError:
                        self._disconnect()
                        raise
        raise AssertionError("unreachable")  # pragma: no cover

    def wait(self, pending: PendingRequest) -> Reply:
        """The result of a request, whether it was there before or is yet to come.

        A wait that begins after the deadline still finds a result that is there.

        Raises:
            ResultTimeoutError: none by the deadline.
            TransportError: the broker refuses, or the topic does not exist.
        """
        seconds = pending.remaining()
        late = seconds <= 0
        until = time.monotonic() + (_LATE_LOOK_SECONDS if late else seconds)
        arrived: list[Reply] = []
        with self._lock:
            waiter = self._correlator.register(pending, arrived.append)
            self._unplaced.add(waiter)
        try:
            while not arrived and (left := until - time.monotonic()) > 0:
                if not self._lock.acquire(timeout=left):
                    break
                try:
                    if not arrived:
                        self._advance(left)
                        if late and waiter not in self._unplaced and self._has_read_all():
                            break
                finally:
                    self._lock.release()
        finally:
            with self._lock:
                self._unplaced.discard(waiter)
                self._correlator.forget(waiter)
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
        found: list[Reply] = []
        single = Correlator(position.topic)
        key = correlation_key(correlation_id)
        single.register(_reference(position, correlation_id), found.append)
        consumer = blocking.new_consumer(self.settings, auto_offset_reset="none")
        try:
            with blocking.map_errors(self.settings, f"read the result at {where}", topic=position.topic):
                consumer.assign([tp])
                first = consumer.beginning_offsets([tp], timeout_ms=self._timeout_ms())[tp]
                last = consumer.end_offsets([tp], timeout_ms=self._timeout_ms())[tp]
                if first <= position.offset < last:
                    consumer.seek(tp, position.offset)
                    records = consumer.poll(timeout_ms=self._timeout_ms(), max_records=1).get(tp, [])
                    for record in records:
                        if record.offset == position.offset:
                            single.offer(record, key)
        finally:
            consumer.close()
        if not found:
            raise ResultUnavailableError(
                f"The result of request {correlation_id} is not at {where} any more; the log there runs from {first} to "
                f"{last}. Raise the topic's retention above the time between a result and its use, and ask again."
            )
        return found[0]

    def _advance(self, left: float) -> None:
        """Place who is new and poll once, again while the broker is away and time is left."""
        until = time.monotonic() + left
        try:
            for attempt in transport_retrying(left):
                with attempt:
                    self._try_advance(until)
        except BrokerUnavailableError:
            # The backoff would have ended after the deadline; what is left of the time may still do.
            time.sleep(max(0.0, min(_POLL_SECONDS, until - time.monotonic())))

    def _try_advance(self, until: float) -> None:
        seconds = max(_POLL_SECONDS, until - time.monotonic())
        try:
            consumer = self._connected(seconds)
            if self._unplaced:
                self._place(consumer, seconds)
            self._follow_growth(consumer)
            with blocking.map_errors(self.settings, "read", topic=self.topic):
                batches = consumer.poll(timeout_ms=int(min(_POLL_SECONDS, seconds) * 1000), max_records=_MAX_RECORDS)
            for tp, records in batches.items():
                self._take(tp.partition, records)
            self._trouble = None
        except TransportError as error:
            self._trouble = str(error).rstrip(".")
            self._disconnect()
            raise

    def _place(self, consumer: KafkaConsumer, seconds: float) -> None:
        """Bring the consumer to where the new waiters' cursors are, all at once, unless what is remembered serves them."""
        fresh = [waiter for waiter in self._unplaced if self._correlator.is_waiting(waiter)]
        partitions = sorted(consumer.partitions_for_topic(self.topic) or ())
        wanted = earliest((waiter.pending.reply_cursor for waiter in fresh), partitions)
        self._end = self._offsets(consumer, "end", seconds)
        alone = len(self._correlator) == len(fresh)
        if not self._positions or (alone and is_behind(self._positions, wanted)):
            self._move(consumer, wanted, seconds)
        elif is_behind(wanted, self._positions):
            if self._recent.covers(wanted):
                for waiter in fresh:
                    for record in self._recent.find(waiter.key):
                        self._correlator.offer(record, waiter.key)
            else:
                self._move(consumer, earliest([wanted, self._positions], partitions), seconds)
        self._unplaced.clear()

    def _move(self, consumer: KafkaConsumer, cursor: dict[int, int], seconds: float) -> None:
        clamped = clamp(cursor, self._offsets(consumer, "beginning", seconds), self._end)
        if said := clamped.describe(self.topic):
            logger.warning("%s", said)
        self._positions = clamped.start
        self._recent.start_at(self._positions)
        self._assign(consumer)

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        if records[0].offset < self._positions.get(partition, 0):
            # The client found its position beyond the log's end and went back to the start: the topic was made anew.
            self._positions[partition] = records[0].offset
            self._recent.start_at(self._positions)
        self._recent.append(partition, records)
        self._correlator.feed(records)
        advance(self._positions, partition, records[-1].offset + 1)

    def _follow_growth(self, consumer: KafkaConsumer) -> None:
        partitions = consumer.partitions_for_topic(self.topic) or set()
        if len(partitions) > len(self._positions):
            self._positions.update(dict.fromkeys(partitions - self._positions.keys(), 0))
            self._assign(consumer)

    def _has_read_all(self) -> bool:
        if self._consumer is None:
            return False
        # The client's position also passes what no record shows: transaction markers, aborted batches.
        positions = {
            partition: self._consumer.position(self._tp(partition), timeout_ms=self._timeout_ms())
            for partition in self._positions
        }
        return reached(positions, self._end)

    def _connected(self, seconds: float) -> KafkaConsumer:
        if self._consumer is None:
            consumer = blocking.new_consumer(
                self.settings,
                bootstrap_timeout_ms=int(min(seconds, self.settings.connect_timeout) * 1000),
                metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            )
            if not consumer.partitions_for_topic(self.topic):
                consumer.close()
                raise TopicNotFoundError(
                    f"Topic {self.topic!r} does not exist at {self.settings.bootstrap_servers}. Create it with "
                    "`workflow-events topics create`, or check the topic's name."
                )
            self._consumer = consumer
            if self._positions:
                self._assign(consumer)
        return self._consumer

    def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=0)

    def _assign(self, consumer: KafkaConsumer) -> None:
        consumer.assign([self._tp(partition) for partition in self._positions])
        for partition, offset in self._positions.items():
            consumer.seek(self._tp(partition), offset)

    def _offsets(self, consumer: KafkaConsumer, which: Literal["beginning", "end"], seconds: float) -> dict[int, int]:
        ask = consumer.end_offsets if which == "end" else consumer.beginning_offsets
        partitions = [self._tp(partition) for partition in sorted(consumer.partitions_for_topic(self.topic) or ())]
        with blocking.map_errors(self.settings, f"read the {which} offsets", topic=self.topic):
            found = ask(partitions, timeout_ms=self._timeout_ms(seconds))
        return {tp.partition: offset for tp, offset in found.items()}

    def _timeout_ms(self, seconds: float = math.inf) -> int:
        return int(min(seconds, self.settings.request_timeout) * 1000)

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)


def _reference(position: RecordPosition, correlation_id: UUID) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="",
        workflow_run_id="",
        reply_topic=position.topic,
        reply_cursor={position.partition: position.offset},
        deadline=datetime.max.replace(tzinfo=UTC),
    )
