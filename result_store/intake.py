"""Reads a consumer's partitions side by side, in the order of time."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from result_store.assignment import position_of
from result_store.batches import MOST_BYTES
from result_store.time_order import TimeOrder

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from workflow_events.dead_letters import StoredMessage

__all__ = ["Intake", "end_of"]

_RESERVE: Final = 256
"""Messages of each partition that are taken from the client before they are wanted, and the most that are taken at a time without
giving others in the event loop their turn. While aiokafka has messages of one partition, it leaves all others on that broker
unread for a while (0.1 s); the reserve outlasts that."""
_PATIENCE_MS: Final = 100
"""How long a partition that is said to have more may keep the others waiting; once, until it has given something."""


class Intake:
    """What a consumer reads, in the order of time as far as that can be told without waiting for long."""

    def __init__(self) -> None:
        self._consumer: AIOKafkaConsumer = None
        self._order: TimeOrder[TopicPartition] = TimeOrder()
        self._silent: set[TopicPartition] = set()

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Say who reads; once, before anything is read."""
        self._consumer = consumer

    async def read(
        self, partitions: Collection[TopicPartition], most: int, timeout_ms: int
    ) -> list[tuple[TopicPartition, StoredMessage]]:
        """The next messages of some partitions; none where nothing has come in time.

        Args:
            most: how many at most.
            timeout_ms: how long to wait while there is nothing at all, in milliseconds.

        Raises:
            KafkaError: as aiokafka raises it; nothing that was read before is lost.
        """
        await self._fill(partitions, 0 if any(map(self._order.waiting, partitions)) else timeout_ms)
        awaited = self._awaited(partitions)
        missing = [partition for partition in awaited if not self._order.waiting(partition)]
        if missing:
            await self._fill(missing, _PATIENCE_MS)
            self._silent.update(partition for partition in missing if not self._order.waiting(partition))
            awaited = self._awaited(partitions)
        return self._order.take(most, partitions, awaited)

    def position(self, partition: TopicPartition) -> int | None:
        """The offset behind what was given of a partition; None where it is not known. Asks nobody."""
        offset = self._order.offset(partition)
        return position_of(self._consumer, partition) if offset is None else offset

    def drop(self) -> None:
        """Forget what was read and not given: the partitions are given back."""
        self._order.clear()
        self._silent.clear()

    async def _fill(self, partitions: Collection[TopicPartition], timeout_ms: int) -> None:
        """Have a reserve of each partition, as far as the client has read it."""
        hungry = [partition for partition in partitions if self._is_hungry(partition)]
        # Without any, as before the group has given us some, the client is asked all the same: it tells what ails the group.
        while hungry or not partitions:
            found = await self._consumer.getmany(*hungry, timeout_ms=timeout_ms, max_records=_RESERVE)
            for partition, records in found.items():
                self._order.add(partition, records)
                self._silent.discard(partition)
            if sum(map(len, found.values())) < _RESERVE:
                return
            hungry = [partition for partition in hungry if self._is_hungry(partition)]
            timeout_ms = 0

    def _is_hungry(self, partition: TopicPartition) -> bool:
        waiting = self._order.waiting(partition)
        return waiting == 0 or (waiting < _RESERVE and self._order.bytes < MOST_BYTES)

    def _awaited(self, partitions: Collection[TopicPartition]) -> set[TopicPartition]:
        """Those that have more than was read, and have not been waited for in vain."""
        awaited = set()
        for partition in partitions:
            position = None if partition in self._silent else position_of(self._consumer, partition)
            if position is not None and position < (end_of(self._consumer, partition) or 0):
                awaited.add(partition)
        return awaited


def end_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset that a partition's next message will have, as the last fetch has told; None before there was one."""
    end = consumer.last_stable_offset(partition)
    if end is None or end < 0:
        end = consumer.highwater(partition)
    return None if end is None else int(end)
