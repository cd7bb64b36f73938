"""Messages of several partitions, one by one in the order of their time. Pure.

What happens to one request is told on three topics. Who is behind, and takes each as it comes, has its request in one batch and
its result in another, and writes its row again and again; in order of time most of it meets in one batch, and the row is written
once.
The order is a matter of speed alone: the rows are the same whatever comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from workflow_events.dead_letters import StoredMessage

__all__ = ["TimeOrder"]

_Partition = TypeVar("_Partition", bound=Hashable)


class TimeOrder(Generic[_Partition]):
    """Messages that were read and not yet taken.

    Attributes:
        bytes: of their values.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._waiting: dict[_Partition, deque[StoredMessage]] = {}

    def add(self, partition: _Partition, messages: Iterable[StoredMessage]) -> None:
        """Put what was read next from a partition behind what was read before."""
        waiting = self._waiting.setdefault(partition, deque())
        for message in messages:
            waiting.append(message)
            self.bytes += len(message.value or b"")

    def waiting(self, partition: _Partition) -> int:
        """How many of a partition's messages are not taken yet."""
        return len(self._waiting.get(partition, ()))

    def offset(self, partition: _Partition) -> int | None:
        """The offset of the next one of a partition; None where none waits."""
        waiting = self._waiting.get(partition)
        return waiting[0].offset if waiting else None

    def take(
        self, most: int, partitions: Iterable[_Partition], awaited: Collection[_Partition]
    ) -> list[tuple[_Partition, StoredMessage]]:
        """The next messages in the order of their time; those of one partition stay in the order of their offsets.

        Args:
            most: how many at most.
            partitions: from which to take.
            awaited: those of which more is on its way. Once one of them has nothing left, nobody knows what comes next.
        """
        if any(not self._waiting.get(partition) for partition in awaited):
            return []
        found: list[tuple[_Partition, StoredMessage]] = []
        heads = [
            (waiting[0].timestamp, number, partition, waiting)
            for number, partition in enumerate(partitions)
            if (waiting := self._waiting.get(partition))
        ]
        heapify(heads)
        while heads and len(found) < most:
            _, number, partition, waiting = heads[0]
            message = waiting.popleft()
            self.bytes -= len(message.value or b"")
            found.append((partition, message))
            if waiting:
                heapreplace(heads, (waiting[0].timestamp, number, partition, waiting))
            elif partition in awaited:
                break
            else:
                heappop(heads)
        return found

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.bytes = 0
