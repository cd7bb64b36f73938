"""A topic in memory, and a consumer of it that does what aiokafka's does as far as the reader asks.

It stands in for a broker where a test must decide on the order of all that happens. What real brokers do is the matter of the
contract tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from workflow_events.errors import BrokerUnavailableError

_ROUND_TRIP_SECONDS = 0.004


@dataclass(eq=False)
class LoggedRecord:
    partition: int
    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    number: int
    """Counts all records that were ever published."""
    published_at: float


@dataclass
class Partition:
    first: int = 0
    records: list[LoggedRecord] = field(default_factory=list)
    life: int = 0
    """Rises whenever offsets come to mean other records than before."""

    @property
    def end(self) -> int:
        return self.first + len(self.records)


class MemoryLog:
    """A topic's partitions.

    Attributes:
        away: no broker answers; fetches bring nothing, and all else fails.
        fetch_size: how many records a fetch brings at most.
        refuses: whether a fetch beyond the log's end is refused, so that the client goes back to the start. Apache Kafka does,
            the embedded broker waits until the log has grown to there.
        cuts: sessions that were opened before the last of these fail at their next fetch.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = [Partition() for _ in range(partitions)]
        self.published = 0
        self.away = False
        self.refuses = True
        self.fetch_size = 1000
        self.cuts = 0
        self._changed = asyncio.Event()

    def publish(
        self, partition: int, value: bytes | None, headers: list[tuple[str, bytes | None]], *, now: float
    ) -> LoggedRecord:
        log = self.partitions[partition]
        self.published += 1
        record = LoggedRecord(partition, log.end, value, headers, self.published, now)
        log.records.append(record)
        self.wake()
        return record

    def records(self) -> Iterable[LoggedRecord]:
        for log in self.partitions:
            yield from log.records

    def ends(self) -> dict[int, int]:
        return {number: log.end for number, log in enumerate(self.partitions)}

    def grow(self) -> None:
        self.partitions.append(Partition())

    def make_anew(self) -> None:
        """Delete the topic and create it again, with as many partitions."""
        self.partitions = [Partition(life=log.life + 1) for log in self.partitions]

    def cut_end(self, partition: int, count: int) -> None:
        """Lose the last records, as an unclean election does."""
        log = self.partitions[partition]
        if log.records and count:
            del log.records[-count:]
            log.life += 1

    def cut_start(self, partition: int, count: int) -> None:
        """Take the oldest records away, as retention does."""
        log = self.partitions[partition]
        gone = min(count, len(log.records))
        del log.records[:gone]
        log.first += gone

    @asynccontextmanager
    async def open(self, *_: object) -> AsyncIterator[MemoryConsumer]:
        """In the place of :func:`workflow_events.replies.topic_log.open_log`."""
        await asyncio.sleep(_ROUND_TRIP_SECONDS)
        self.ask()
        yield MemoryConsumer(self)

    def wake(self) -> None:
        """Let fetches that wait for records answer, as a broker does when something comes or a connection breaks."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def break_connections(self) -> None:
        self.cuts += 1
        self.wake()

    def ask(self) -> None:
        if self.away:
            raise BrokerUnavailableError("The broker is away.")


class MemoryConsumer:
    """The part of ``AIOKafkaConsumer`` that readers use."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._cuts = log.cuts
        self._positions: dict[TopicPartition, int] = {}
        self._highwaters: dict[TopicPartition, int] = {}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(len(self._log.partitions)))

    async def beginning_offsets(self, of: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(_ROUND_TRIP_SECONDS)
        self._log.ask()
        return {tp: self._log.partitions[tp.partition].first for tp in of}

    async def end_offsets(self, of: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(_ROUND_TRIP_SECONDS)
        self._log.ask()
        return {tp: self._log.partitions[tp.partition].end for tp in of}

    def assign(self, to: Iterable[TopicPartition]) -> None:
        self._positions = dict.fromkeys(to, 0)
        self._highwaters = {}

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    def last_poll_timestamp(self, tp: TopicPartition) -> int:
        return int(time.time() * 1000)

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._highwaters.get(tp)

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[LoggedRecord]]:
        fetched = self._fetch(min(max_records, self._log.fetch_size))
        if fetched:
            await asyncio.sleep(_ROUND_TRIP_SECONDS)
        else:
            await self._log.change(timeout_ms / 1000)
        if self._cuts < self._log.cuts:
            raise BrokerUnavailableError("The connection broke.")
        return fetched

    def _fetch(self, most: int) -> dict[TopicPartition, list[LoggedRecord]]:
        if self._log.away:
            return {}
        fetched: dict[TopicPartition, list[LoggedRecord]] = {}
        for tp, position in self._positions.items():
            log = self._log.partitions[tp.partition]
            self._highwaters[tp] = log.end
            if position < log.first or (position > log.end and self._log.refuses):
                self._positions[tp] = log.first  # auto_offset_reset=earliest
            found = log.records[self._positions[tp] - log.first :][:most]
            most -= len(found)
            if found:
                fetched[tp] = found
                self._positions[tp] = found[-1].offset + 1
        return fetched
