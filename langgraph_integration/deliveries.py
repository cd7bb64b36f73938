"""A message in a worker's hands, and what is known of its partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from langgraph_integration.commit_floor import CommitFloor
from langgraph_integration.start_marks import StartMarks
from langgraph_integration.supervision import HandOver

if TYPE_CHECKING:
    from aiokafka import TopicPartition
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.crash_watch import CrashWatch

__all__ = ["Delivery", "TakenPartition"]


class Owner(Protocol):
    """Who holds the partitions."""

    watch: CrashWatch

    async def mark(self, delivery: Delivery) -> None:
        """Note that a run begins."""


class Delivery:
    """A message in a worker's hands.

    Attributes:
        started: whether its turn has come; before that it can be handed back as if it had never been fetched.
        hand_over: asks its run to stop after the superstep that it is in.
        answered: whether its run has ended; what is left is to publish the result.
        handed_back: whether it is to be taken up again, as another delivery.
        ended: whether the floor may pass it.
    """

    __slots__ = (
        "_owner",
        "answered",
        "ended",
        "hand_over",
        "handed_back",
        "held",
        "partition",
        "record",
        "started",
        "task",
    )

    def __init__(self, record: ConsumerRecord, partition: TopicPartition, held: TakenPartition, owner: Owner) -> None:
        self.record = record
        self.partition = partition
        self.held = held
        self._owner = owner
        self.started = False
        self.hand_over = HandOver()
        self.answered = False
        self.handed_back = False
        self.ended = False
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Its turn has come."""
        self.started = True

    def answer(self) -> None:
        """Its run has ended."""
        self.answered = True

    async def crashes(self) -> int:
        """How many workers this request has crashed. It waits until that is known."""
        await self.held.known.wait()
        return self.held.marks.crashes(self.record.offset)

    @asynccontextmanager
    async def trial(self) -> AsyncIterator[None]:
        """Wait here until nobody else is on trial in this worker, where this one is to be; see ``start_marks``."""
        async with self._owner.watch.turn(await self.crashes()):
            try:
                yield
            finally:
                # Before the next trial begins, and stores who is on trial.
                self.held.marks.hand_back(self.record.offset)

    async def mark(self) -> None:
        """Note that the run begins now, before it does; where a worker has died before, the note is stored first."""
        await self._owner.mark(self)


class TakenPartition:
    """What is known of a partition while it is held.

    Attributes:
        marks: which requests have crashed workers, and which run now.
        known: set when the last owner's marks are read, and ours stand in their place.
        committable: before it is set, a commit would write over the last owner's marks.
        base: where the group stood when the partition came; None where it had committed nothing.
        wary_until: the offset up to which starts are stored ahead of the run; None: not known yet.
        committed: the offset and the metadata that were committed last.
        leaving: the group takes it away.
        given_back: no run of it is left here; the next commit says so.
    """

    __slots__ = (
        "base",
        "committable",
        "committed",
        "deliveries",
        "floor",
        "given_back",
        "known",
        "leaving",
        "marks",
        "wary_until",
    )

    def __init__(self) -> None:
        self.floor = CommitFloor()
        self.marks = StartMarks()
        self.known = asyncio.Event()
        self.committable = False
        self.base: int | None = None
        self.wary_until: int | None = None
        self.deliveries: set[Delivery] = set()
        self.committed: tuple[int, str] | None = None
        self.leaving = False
        self.given_back = False
