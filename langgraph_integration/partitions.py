"""The partitions that a worker holds, and how it takes them up and gives them back.

A worker commits only what is its own and is done. When the group takes partitions away, their runs may end within a time
limit; then what is done is committed, and what is left is cancelled and will be delivered to the new owner. The group
waits for all of this, so no request is in two workers' hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError

from langgraph_integration.commits import COMMIT_PATIENCE, Commits
from langgraph_integration.crash_watch import CrashWatch
from langgraph_integration.deliveries import Delivery, TakenPartition
from langgraph_integration.releasing import release

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.membership import Membership
    from workflow_events.settings import KafkaSettings

__all__ = ["Delivery", "HeldPartitions"]

log = logging.getLogger(__name__)


class HeldPartitions(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Which messages of which partitions are in hand, how far each partition is done, and the commits.

    Args:
        settings: name the cluster in errors.
        rebalance_timeout: seconds that runs get to end when their partition is taken away.
        max_uncommitted: ended messages behind an unended one at which a partition is paused.
        max_crashes: workers that a request may crash before it is given up; 0: any number, and none are counted.
        membership: told when partitions are given and commits confirmed; None where nobody asks for it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        rebalance_timeout: float,
        max_uncommitted: int,
        max_crashes: int = 0,
        membership: Membership | None = None,
    ) -> None:
        self.watch = CrashWatch(max_crashes)
        self._membership = membership
        self._rebalance_timeout = rebalance_timeout
        self._max_uncommitted = max_uncommitted
        self._held: dict[TopicPartition, TakenPartition] = {}
        self._paused: set[TopicPartition] = set()
        self.commits = Commits(settings, self._held, self.watch, membership)
        """How far each partition is done, as the group is told."""
        self._consumer: AIOKafkaConsumer = None
        self.in_hand = 0
        self.assigned = asyncio.Event()
        self.changed = asyncio.Event()
        """Set when a message has ended; whoever waits for it clears it."""

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Say which consumer the partitions belong to; once, before it is read from."""
        self._consumer = consumer
        self.commits.attach(consumer)

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions held now."""
        return list(self._held)

    def take(self, partition: TopicPartition, record: ConsumerRecord) -> Delivery | None:
        """Take up a message; None if it is not to be handled: its partition is leaving, or it is in hand already."""
        held = self._held.get(partition)
        if held is None or held.leaving or not held.floor.take(record.offset):
            return None
        delivery = Delivery(record, partition, held, self)
        held.deliveries.add(delivery)
        self.in_hand += 1
        return delivery

    def settle(self, delivery: Delivery, handling: asyncio.Task[None]) -> None:
        """Let the floor pass a message whose handling has ended, unless it was cancelled or failed."""
        held = delivery.held
        held.deliveries.discard(delivery)
        self.in_hand -= 1
        self.changed.set()
        if delivery.handed_back:
            return  # another delivery may have it by now, and its mark
        if handling.cancelled() or handling.exception() is not None:
            held.marks.hand_back(delivery.record.offset)
            return
        self.end(delivery)

    async def mark(self, delivery: Delivery) -> None:
        """Note that a run begins, and store that first where a worker has died before."""
        if not self.watch.limit:
            return
        held, offset = delivery.held, delivery.record.offset
        await held.known.wait()
        on_trial = self.watch.is_suspect(held.marks.crashes(offset))
        held.marks.begin(offset, on_trial=on_trial)
        if held.marks.wary and held.wary_until is None:
            # Whatever the dead owner had in its hands lies below the log's end as it is now.
            held.wary_until = self._consumer.highwater(delivery.partition)
        wary = held.marks.wary and (held.wary_until is None or offset < held.wary_until)
        if wary or on_trial:
            try:
                await self.commits.commit()
            except CommitFailedError as error:
                log.warning("The start of a run is not stored, for the group is rebalancing: %s", error)

    def holds(self, delivery: Delivery) -> bool:
        """Whether a message is still this worker's to answer, as far as the group has told it."""
        return not delivery.handed_back and self._held.get(delivery.partition) is delivery.held

    def end(self, delivery: Delivery) -> None:
        """Let the floor pass a message that is done with; once it has, nothing."""
        if delivery.ended or delivery.handed_back:
            return
        delivery.ended = True
        held = delivery.held
        held.marks.settle(delivery.record.offset)
        held.floor.end(delivery.record.offset)
        if held is self._held.get(delivery.partition) and not held.leaving:
            self._pause_or_resume(delivery.partition, held)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group has given us these partitions."""
        if self._membership is not None:
            self._membership.begin()
        self._held.clear()  # the same dictionary, which the commits look at
        self._held.update({partition: TakenPartition() for partition in assigned})
        self._paused.clear()
        await self._read_marks(dict(self._held))
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
        grace = self._rebalance_timeout if await self.commits.is_member() else 0.0
        handed_back = await release(
            [delivery for held in leaving.values() for delivery in held.deliveries], grace=grace
        )
        for held in leaving.values():
            held.given_back = True
        await self.commits.is_member()
        for partition in leaving:
            del self._held[partition]
        self._paused -= set(leaving)
        log.info("Partitions revoked: %s; %d requests handed back", _names(leaving), handed_back)

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
            delivery.held.marks.hand_back(delivery.record.offset)
        for partition in {delivery.partition for delivery in letting_go}:
            self.go_back(partition)
        return await release(letting_go, grace=0.0)

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

    async def _read_marks(self, taken: dict[TopicPartition, TakenPartition]) -> None:
        """Read what the last owners noted, and note that the partitions are in these hands now."""
        if taken:
            try:
                async with asyncio.timeout(COMMIT_PATIENCE):
                    await self.watch.read(self._consumer, taken)
            except Exception:
                log.exception("What the last owners noted of their requests cannot be read")
        for held in taken.values():
            held.committable = True
            if held.base is not None:
                held.floor.pass_over(held.marks.finished, above=held.base)
        if self.watch.limit:
            await self.commits.is_member()
        for held in taken.values():
            held.known.set()

    def _pause_or_resume(self, partition: TopicPartition, held: TakenPartition) -> None:
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
