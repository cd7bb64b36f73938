"""Which requests a worker takes for dangerous, because the workers that ran them died (pattern: Poison Message).

The counts themselves are in :mod:`~langgraph_integration.start_marks`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from langgraph_integration.start_marks import StartMarks
from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

__all__ = ["CrashWatch"]

log = logging.getLogger(__name__)


class _Taken(Protocol):
    """A partition that has just been taken up."""

    base: int | None
    marks: StartMarks


class CrashWatch:
    """The limit, and the trials: one at a time in a worker, whatever partition the request is of.

    Args:
        limit: crashes at which a request is given up; 0: none are counted.

    Attributes:
        in_trial: whether a request is on trial now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_trial = False
        self._trials = asyncio.Lock()

    def is_suspect(self, crashes: int) -> bool:
        """Whether a request that has crashed so many workers is to be run on trial: one more, and it is given up."""
        return self.limit > 0 and crashes >= max(1, self.limit - 1)

    def is_poison(self, crashes: int) -> bool:
        """Whether a request that has crashed so many workers is given up."""
        return 0 < self.limit <= crashes

    @asynccontextmanager
    async def turn(self, crashes: int) -> AsyncIterator[None]:
        """Hold the worker's one trial while inside, where the request is suspect."""
        if not self.is_suspect(crashes):
            yield
            return
        async with self._trials:
            self.in_trial = True
            try:
                yield
            finally:
                self.in_trial = False

    async def read(self, consumer: AIOKafkaConsumer, taken: Mapping[TopicPartition, _Taken]) -> None:
        """Fill in what the last owners of partitions left with the committed offsets.

        Raises:
            KafkaError: the group's coordinator refuses. The partitions are as wary then as if an owner had died.
        """
        for held in taken.values():
            held.marks.wary = True  # until it is known better
        found = await aio.committed_with_metadata(consumer, taken)
        begin = await consumer.beginning_offsets([partition for partition in taken if partition not in found])
        for partition, held in taken.items():
            if partition not in found:
                # Nobody has held it: who takes a partition up says so by a commit, before anything runs.
                held.base = begin[partition]
                held.marks.wary = False
                continue
            held.base = found[partition].offset
            held.marks = StartMarks.read(found[partition].metadata, floor=found[partition].offset)
            if held.marks.wary:
                log.warning(
                    "The last owner of %s-%d did not give it back; what it was running is charged with a crash",
                    partition.topic,
                    partition.partition,
                )
