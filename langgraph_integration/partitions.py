"""The partitions that a worker holds, and how it takes them up and gives them back.

A worker commits only what is its own and is done. When the group takes partitions away, their runs may end within a time
limit; then what is done is committed, and what is left is cancelled and will be delivered to the new owner. The group
waits for all of this, so no request is in two workers' hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    UnknownMemberIdError,
)

from langgraph_integration.commit_floor import CommitFloor
from langgraph_integration.supervision import HandOver
from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.membership import Membership
    from workflow_events.settings import KafkaSettings

__all__ = ["Delivery", "HeldPartitions"]

log = logging.getLogger(__name__)

# Seconds that a cancelled run gets to clean up. One that takes longer is no longer waited for.
_CANCEL_PATIENCE = 5.0
# Seconds that the commit before giving partitions back may take.
_COMMIT_PATIENCE = 10.0


class Delivery:
    """A message in a worker's hands.

    Attributes:
        started: whether its turn has come; before that it can be handed back as if it had never been fetched.
        hand_over: asks its run to stop after the superstep that it is in.
        answered: whether its run has ended; what is left is to publish the result.
        handed_back: whether it is to be taken up again, as another delivery.
    """

    __slots__ = ("answered", "hand_over", "handed_back", "held", "partition", "record", "started", "task")

    def __init__(self, record: ConsumerRecord, partition: TopicPartition, held: _Partition) -> None:
        self.record = record
        self.partition = partition
        self.held = held
        self.started = False
        self.hand_over = HandOver()
        self.answered = False
        self.handed_back = False
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Its turn has come."""
        self.started = True

    def answer(self) -> None:
        """Its run has ended."""
        self.answered = True


class _Partition:
    __slots__ = ("committed", "deliveries", "floor", "leaving")

    def __init__(self) -> None:
        self.floor = CommitFloor()
        self.deliveries: set[Delivery] = set()
        self.committed: int | None = None
        self.leaving = False


class HeldPartitions(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Which messages of which partitions are in hand, how far each partition is done, and the commits.

    Args:
        settings: name the cluster in errors.
        rebalance_timeout: seconds that runs get to end when their partition is taken away.
        max_uncommitted: ended messages behind an unended one at which a partition is paused.
        membership: told when partitions are given and commits confirmed; None where nobody asks for it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        rebalance_timeout: float,
        max_uncommitted: int,
        membership: Membership | None = None,
    ) -> None:
        self._membership = membership
        self._settings = settings
        self._rebalance_timeout = rebalance_timeout
        self._max_uncommitted = max_uncommitted
        self._held: dict[TopicPartition, _Partition] = {}
        self._paused: set[TopicPartition] = set()
        self._commit_lock = asyncio.Lock()
        self._consumer: AIOKafkaConsumer = None
        self.in_hand = 0
        self.assigned = asyncio.Event()
        self.changed = asyncio.Event()
        """Set when a message has ended; whoever waits for it clears it."""

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Say which consumer the partitions belong to; once, before it is read from."""
        self._consumer = consumer

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions held now."""
        return list(self._held)

    def take(self, partition: TopicPartition, record: ConsumerRecord) -> Delivery | None:
        """Take up a message; None if it is not to be handled: its partition is leaving, or it is in hand already."""
        held = self._held.get(partition)
        if held is None or held.leaving or not held.floor.take(record.offset):
            return None
        delivery = Delivery(record, partition, held)
        held.deliveries.add(delivery)
        self.in_hand += 1
        return delivery

    def settle(self, delivery: Delivery, handling: asyncio.Task[None]) -> None:
        """Let the floor pass a message whose handling has ended, unless it was cancelled or failed."""
        held = delivery.held
        held.deliveries.discard(delivery)
        self.in_hand -= 1
        self.changed.set()
        if handling.cancelled() or handling.exception() is not None or delivery.handed_back:
            return
        held.floor.end(delivery.record.offset)
        if held is self._held.get(delivery.partition) and not held.leaving:
            self._pause_or_resume(delivery.partition, held)

    async def commit(self, *, probe: bool = False) -> None:
        """Commit each partition's floor where it has moved.

        Args:
            probe: commit also what has not moved, to learn whether the group still knows us.

        Raises:
            CommitFailedError: the group has gone on without us; what was to be committed will be delivered again.
            TransportError: the commit is refused.
        """
        async with self._commit_lock:
            floors = {
                partition: floor
                for partition, held in self._held.items()
                if (floor := held.floor.floor) is not None and (probe or floor != held.committed)
            }
            if not floors:
                return
            sent_at = time.monotonic()
            try:
                await self._consumer.commit(floors)
            except CommitFailedError:
                raise
            except IllegalStateError as error:
                raise CommitFailedError(str(error)) from error
            except KafkaError:
                with aio.map_errors(self._settings, "commit offsets", topic=next(iter(floors)).topic):
                    raise
            if self._membership is not None:
                self._membership.confirm(sent_at)  # a commit keeps a member's session alive, as a heartbeat does
            for partition, floor in floors.items():
                if (held := self._held.get(partition)) is not None:
                    held.committed = floor

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group has given us these partitions."""
        if self._membership is not None:
            self._membership.begin()
        self._held = {partition: _Partition() for partition in assigned}
        self._paused.clear()
        self.assigned.set()
        log.info("Partitions assigned: %s", _names(self._held))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group takes these partitions away, and waits until this returns."""
        self.assigned.clear()
        leaving = {partition: self._held[partition] for partition in revoked if partition in self._held}
        if not leaving:
            return
        for held in leaving.values():
            held.leaving = True
        grace = self._rebalance_timeout if await self._is_member() else 0.0
        handed_back = await self.release(
            [delivery for held in leaving.values() for delivery in held.deliveries], grace=grace
        )
        await self._is_member()
        for partition in leaving:
            del self._held[partition]
        self._paused -= set(leaving)
        log.info("Partitions revoked: %s; %d requests handed back", _names(leaving), handed_back)

    async def release(self, deliveries: Iterable[Delivery], *, grace: float) -> int:
        """End the handling of messages: those not started at once, the others after ``grace`` seconds.

        A run with lasting checkpoints is asked to stop after the superstep that it is in, which has the grace to end; what a
        node has done is then stored, and its work is not done again. A run without may go on to its end.

        Returns:
            How many were cancelled, and so are handed back.
        """
        tasks = {delivery.task: delivery for delivery in deliveries if delivery.task is not None}
        waiting = [task for task, delivery in tasks.items() if not delivery.started]
        running = [task for task, delivery in tasks.items() if delivery.started]
        for task in waiting:
            task.cancel()
        for task in running:
            tasks[task].hand_over.ask()
        late: set[asyncio.Task[None]] = set()
        if running and grace > 0:
            _, late = await asyncio.wait(running, timeout=grace)
        else:
            late = set(running)
        for task in late:
            task.cancel()
        if cancelled := [*waiting, *late]:
            _, stuck = await asyncio.wait(cancelled, timeout=_CANCEL_PATIENCE)
            if stuck:
                log.error("%d runs did not end within %g s of being cancelled", len(stuck), _CANCEL_PATIENCE)
        return sum(task.cancelled() or not task.done() for task in tasks)

    async def let_go(self) -> int:
        """Stop what runs, for the group may have given it to others; where it has not, after all, it is taken up again.

        A run that has ended and whose result is being published goes on: nobody is paid twice for a result that is on the
        topic twice.

        Returns:
            How many were handed back.
        """
        letting_go = [
            delivery
            for delivery in self.deliveries()
            if not (delivery.answered or delivery.held.leaving or delivery.task is None or delivery.task.done())
        ]
        for delivery in letting_go:
            delivery.handed_back = True
            delivery.held.floor.hand_back(delivery.record.offset)
        for partition in {delivery.partition for delivery in letting_go}:
            self.go_back(partition)
        return await self.release(letting_go, grace=0.0)

    def go_back(self, partition: TopicPartition, offset: int | None = None) -> None:
        """Fetch a partition again from what was handed back, and from ``offset``, which nobody has taken."""
        held = self._held.get(partition)
        if held is None:
            return
        wanted = [place for place in (offset, held.floor.lowest_handed_back) if place is not None]
        with contextlib.suppress(IllegalStateError):  # it has been taken away in this moment
            self._consumer.seek(partition, min(wanted))

    def deliveries(self) -> list[Delivery]:
        """All messages in hand."""
        return [delivery for held in self._held.values() for delivery in held.deliveries]

    async def _is_member(self) -> bool:
        """Commits what is done; False if the group has already given our partitions to others."""
        try:
            async with asyncio.timeout(_COMMIT_PATIENCE):  # aiokafka itself would try for ever
                await self.commit(probe=True)
        except CommitFailedError as error:
            return not isinstance(error.__cause__, IllegalGenerationError | UnknownMemberIdError)
        except Exception:
            log.exception("Offsets not committed")
        return True

    def _pause_or_resume(self, partition: TopicPartition, held: _Partition) -> None:
        if partition in self._paused:
            if held.floor.held_back <= self._max_uncommitted // 2:
                self._paused.discard(partition)
                self._consumer.resume(partition)
        elif held.floor.held_back >= self._max_uncommitted:
            self._paused.add(partition)
            self._consumer.pause(partition)
            log.warning(
                "Partition %s pauses: %d requests have ended behind one that has not",
                _name(partition),
                held.floor.held_back,
            )


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}-{partition.partition}"


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(sorted(map(_name, partitions))) or "none"
