"""One scan of the past for all who are behind.

Waiters whose cursor lies behind the reader, further back than it remembers, join a scan. However many join, the past is
read once, from the earliest cursor to where the reader stood when the scan began: O(waiters + records). Who joins during a
scan is served by the next one.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from workflow_events.errors import BrokerUnavailableError
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import Clamped, clamp, clamp_all, reached, reading_from
from workflow_events.replies.records import MAX_RECORDS
from workflow_events.retry import async_transport_retrying
from workflow_events.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaConsumer

    from workflow_events.replies.correlator import Correlator, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.settings import KafkaSettings

__all__ = ["CatchUp"]

logger = logging.getLogger(__name__)

_GATHER_SECONDS = 0.02
"""How long a scan waits for company: after a restart waiters come by the thousand, one loop iteration each."""

_AT_ONCE = 200
"""How many waiters are seen to before others in the loop have their turn."""

_POLL_MS = 200


class CatchUp:
    """The shared catch-up scan of one reader.

    Args:
        positions: gives the reader's positions now; a scan ends there, since the reader has the rest.
        lost: called for each waiter whose cursor has fallen off the log.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        correlator: Correlator,
        positions: Callable[[], dict[int, int]],
        lost: Callable[[Waiter], None] | None = None,
    ) -> None:
        self._settings = settings
        self._correlator = correlator
        self._positions = positions
        self._lost = lost
        self._joined: dict[Waiter, Callable[[], None]] = {}
        self._wanted = asyncio.Event()
        self.scans = 0
        self.scanned = 0

    def join(self, waiter: Waiter, done: Callable[[], None]) -> None:
        """Have a waiter's past read; ``done`` is called when it has been, found or not."""
        self._joined[waiter] = done
        self._wanted.set()

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out that no longer waits."""
        self._joined.pop(waiter, None)

    async def run(self) -> None:
        """Scan whenever somebody has joined, until cancelled. A scan that fails is tried again while somebody waits."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wanted.clear()
            joined, self._joined = self._joined, {}
            try:
                async for attempt in async_transport_retrying(timeout=math.inf):
                    with attempt, topic_log.taken_as_passing():
                        await self._scan([waiter for waiter in joined if self._correlator.is_waiting(waiter)])
            finally:
                await self._tell(list(joined.values()))

    async def _scan(self, waiters: list[Waiter]) -> None:
        if not waiters:
            return
        topic = self._correlator.topic
        stop = self._positions()
        async with topic_log.open_log(self._settings, topic) as consumer:
            first = await topic_log.beginning(consumer, topic, stop)
            last = await topic_log.end(consumer, topic, stop)
            clamped = await self._clamped(waiters, stop, first, last)
            if said := clamped.describe(topic):
                logger.warning("catching up for %d waiters: %s", len(waiters), said)
                await self._tell_lost(waiters, stop, first, last)
            stop = {partition: min(offset, last[partition]) for partition, offset in stop.items()}
            start = {partition: offset for partition, offset in clamped.start.items() if offset < stop[partition]}
            self.scans += 1
            if start:
                topic_log.assign_at(consumer, topic, start)
                await self._read(consumer, start, {partition: stop[partition] for partition in start}, waiters)

    async def _clamped(self, waiters: list[Waiter], stop: Cursor, first: Cursor, last: Cursor) -> Clamped:
        """Where one scan serves all who wait."""
        clamped = Clamped({})
        for at in range(0, len(waiters), _AT_ONCE):
            cursors = (
                reading_from(waiter.pending.reply_cursor, waiter.pending.reply_partition, stop)
                for waiter in waiters[at : at + _AT_ONCE]
            )
            clamped = clamped.joined(clamp_all(cursors, first, last))
            await asyncio.sleep(0)
        return clamped

    async def _tell_lost(self, waiters: list[Waiter], stop: Cursor, first: Cursor, last: Cursor) -> None:
        if self._lost is None:
            return
        for number, waiter in enumerate(waiters, start=1):
            cursor = reading_from(waiter.pending.reply_cursor, waiter.pending.reply_partition, stop)
            if clamp(cursor, first, last).describe(self._correlator.topic):
                self._lost(waiter)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _read(
        self, consumer: AIOKafkaConsumer, start: dict[int, int], stop: dict[int, int], waiters: list[Waiter]
    ) -> None:
        positions = dict(start)
        turns = Turns()
        while not reached(positions, stop) and self._is_wanted(waiters):
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=MAX_RECORDS)
            for records in batches.values():
                self.scanned += len(records)
                self._correlator.feed(records)
            if not batches and topic_log.ends_before(consumer, self._correlator.topic, stop):
                raise BrokerUnavailableError(
                    f"The log of {self._correlator.topic!r} lost its end while it was read (the topic was made anew or "
                    "truncated); reading it again"
                )
            # getmany does not suspend while records are buffered, and the loop is shared with others.
            if await turns.give() or not batches:
                for partition in stop:
                    # The client's position also passes what no record shows: transaction markers, aborted batches.
                    positions[partition] = await consumer.position(TopicPartition(self._correlator.topic, partition))

    @staticmethod
    async def _tell(every: list[Callable[[], None]]) -> None:
        for number, done in enumerate(every, start=1):
            done()
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _is_wanted(self, waiters: list[Waiter]) -> bool:
        """Whether one of them still waits. Drops those at the end who do not: over a whole scan, one look at each."""
        while waiters and not self._correlator.is_waiting(waiters[-1]):
            waiters.pop()
        return bool(waiters)
