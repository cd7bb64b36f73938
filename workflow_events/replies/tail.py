"""Follows the end of a topic, across the broker's absences.

Assigned to all partitions, in no group, committing nothing. When a session breaks, the next one goes on at the record where the
last stopped; when partitions are added, they are read from their start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from workflow_events.errors import TransportError
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import advance, clamp, reached
from workflow_events.replies.records import MAX_RECORDS
from workflow_events.retry import async_transport_retrying
from workflow_events.transport import aio
from workflow_events.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiokafka import AIOKafkaConsumer

    from workflow_events.replies.records import Record
    from workflow_events.settings import KafkaSettings

__all__ = ["Tail"]

logger = logging.getLogger(__name__)

_POLL_MS = 250
_HEALTHY_SECONDS = 30.0
"""A session that lived this long was sound: what ends it begins a new backoff."""
_GROWTH_SECONDS = 10.0
_SILENT_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class Tail:
    """The supervised consumer of a reader.

    Args:
        on_start: called once, when the first positions (the end offsets) are known.
        on_records: called with each batch of one partition, in order.
        on_rewind: called when records come again or from a log made anew, with the positions that hold from then on.
        keep_going: asked between polls; the tail ends when it says no.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        on_start: Callable[[], None],
        on_records: Callable[[int, Sequence[Record]], None],
        on_rewind: Callable[[dict[int, int]], None],
        keep_going: Callable[[], bool],
    ) -> None:
        self.positions: dict[int, int] = {}
        self.last_error: TransportError | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._session_began = 0.0
        self._settings = settings
        self._topic = topic
        self._on_start = on_start
        self._on_records = on_records
        self._on_rewind = on_rewind
        self._keep_going = keep_going
        self._started = False
        self._looking = asyncio.Lock()
        self._at_end = -math.inf

    async def run(self) -> None:
        """Follow the topic until ``keep_going`` says no, or for ever.

        Raises:
            TransportError: the first session could not begin, for a reason that waiting does not mend. Once a session has
                begun every error is taken as passing: brokers that come back may for a while not know their topics.
        """
        while self._keep_going():
            async for attempt in async_transport_retrying(timeout=math.inf):
                with attempt:
                    await self._attempt()

    def trouble(self) -> str | None:
        """What keeps the tail from reading, for an error's text; None where nothing does."""
        if self.last_error is not None:
            return str(self.last_error).rstrip(".")
        if self._consumer is None:
            return None
        # aiokafka goes on trying in silence; a broker that is well answers an empty fetch many times a second.
        now = time.time()
        ages = {
            tp.partition: now - max(self._session_began, (self._consumer.last_poll_timestamp(tp) or 0) / 1000)
            for tp in self._consumer.assignment()
        }
        silent = {partition: age for partition, age in ages.items() if age > _SILENT_SECONDS}
        if not silent:
            return None
        return (
            f"no broker of {self._settings.bootstrap_servers} has answered for {max(silent.values()):.0f} s about "
            f"partition {', '.join(map(str, sorted(silent)))}"
        )

    async def read_to_end(self) -> bool:
        """Wait until everything that is in the topic now has been handed on; False where the topic cannot be read.

        It takes as long as reading takes; a caller in a hurry limits it. Many who ask at once share one question.
        """
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._at_end > _LOOK_SECONDS:
                if not await self._reaches_end():
                    return False
                self._at_end = now
            return True

    async def _reaches_end(self) -> bool:
        consumer, session = self._consumer, self._session_began
        if consumer is None:
            return False
        with contextlib.suppress(TransportError), aio.map_errors(self._settings, "read", topic=self._topic):
            stop = await topic_log.end(consumer, self._topic, tuple(self.positions))
            while self._session_began == session and self.last_error is None:
                # The client's position also passes what no record shows: transaction markers, aborted batches.
                at = {number: await consumer.position(TopicPartition(self._topic, number)) for number in stop}
                if reached(at, stop):
                    return True
                await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _attempt(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await self._session()
        except TransportError as error:
            self.last_error = error
            if clock() - began > _HEALTHY_SECONDS:
                logger.warning("lost the reply topic, reading on from where it was: %s", error)
                return
            with topic_log.taken_as_passing() if self._started else contextlib.nullcontext():
                raise

    async def _session(self) -> None:
        async with topic_log.open_log(self._settings, self._topic) as consumer:
            await self._assign(consumer, topic_log.partitions(consumer, self._topic))
            self.last_error = None
            self._consumer = consumer
            self._session_began = time.time()
            if not self._started:
                self._started = True
                self._on_start()
            await self._follow(consumer)

    async def _assign(self, consumer: AIOKafkaConsumer, partitions: list[int]) -> None:
        last = await topic_log.end(consumer, self._topic, partitions)
        if not self._started:
            self.positions.update(last)
        else:
            first = await topic_log.beginning(consumer, self._topic, partitions)
            clamped = clamp(self.positions, first, last)
            if said := clamped.describe(self._topic):
                logger.warning("%s", said)
            if clamped.start != self.positions:
                self.positions = clamped.start
                self._on_rewind(dict(self.positions))
        topic_log.assign_at(consumer, self._topic, self.positions)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        clock = asyncio.get_running_loop().time
        turns = Turns()
        look_for_growth = clock() + _GROWTH_SECONDS
        while self._keep_going():
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=MAX_RECORDS)
            for tp, records in batches.items():
                self._take(tp.partition, records)
            # getmany does not suspend while records are buffered, and the loop is shared with others.
            await turns.give()
            due = clock() >= look_for_growth
            if (due or not batches) and topic_log.ends_before(consumer, self._topic, self.positions):
                # Made anew or truncated, and nothing in it yet that would show it. A cursor must not promise what has gone,
                # and not every broker refuses to serve an offset beyond its end.
                await self._assign(consumer, topic_log.partitions(consumer, self._topic))
            if due:
                look_for_growth = clock() + _GROWTH_SECONDS
                partitions = topic_log.partitions(consumer, self._topic)
                if len(partitions) > len(self.positions):
                    logger.info("topic %r has grown to %d partitions", self._topic, len(partitions))
                    await self._assign(consumer, partitions)

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        if records[0].offset < self.positions.get(partition, 0):
            # The client found its position beyond the log's end and went back to the start: the topic was made anew.
            self.positions[partition] = records[0].offset
            self._on_rewind(dict(self.positions))
        self._on_records(partition, records)
        advance(self.positions, partition, records[-1].offset + 1)
