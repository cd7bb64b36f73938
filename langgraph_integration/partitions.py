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

from langgraph_integration.crash_watch import CrashWatch
from langgraph_integration.deliveries import Delivery, TakenPartition
from langgraph_integration.releasing import release
from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.membership import Membership
    from workflow_events.settings import KafkaSettings

__all__ = ["Delivery", "HeldPartitions"]

log = logging.getLogger(__name__)

# Seconds that the commit before giving partitions back may take.
_COMMIT_PATIENCE = 10.0


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
        self._settings = settings
        self._rebalance_timeout = rebalance_timeout
        self._max_uncommitted = max_uncommitted
        self._held: dict[TopicPartition, TakenPartition] = {}
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
        held.marks.settle(delivery.record.offset)
        held.floor.end(delivery.record.offset)
        if held is self._held.get(delivery.partition) and not held.leaving:
            self._pause_or_resume(delivery.partition, held)

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
                await self.commit()
            except CommitFailedError as error:
                log.warning("The start of a run is not stored, for the group is rebalancing: %s", error)

    async def commit(self, *, probe: bool = False, last: bool = False) -> None:
        """Commit each partition's floor and marks where they have moved.

        Args:
            probe: commit also what has not moved, to learn whether the group still knows us.
            last: the worker ends, and gives back whatever it holds.

        Raises:
            CommitFailedError: the group has gone on without us; what was to be committed will be delivered again.
            TransportError: the commit is refused.
        """
        async with self._commit_lock:
            stands = {}
            for partition, held in self._held.items():
                held.given_back |= last
                stand = self._stand(held)
                if stand is not None and (probe or stand != held.committed):
                    stands[partition] = stand
            if not stands:
                return
            sent_at = time.monotonic()
            try:
                await self._consumer.commit(stands)
            except CommitFailedError:
                raise
            except IllegalStateError as error:
                raise CommitFailedError(str(error)) from error
            except KafkaError:
                with aio.map_errors(self._settings, "commit offsets", topic=next(iter(stands)).topic):
                    raise
            if self._membership is not None:
                self._membership.confirm(sent_at)  # a commit keeps a member's session alive, as a heartbeat does
            for partition, stand in stands.items():
                if (still := self._held.get(partition)) is not None:
                    still.committed = stand

    def _stand(self, held: TakenPartition) -> tuple[int, str] | None:
        """What to commit for a partition; None while that is not known."""
        floor = held.base if held.floor.floor is None else held.floor.floor
        if floor is None or not held.committable:
            return None
        if not self.watch.limit:
            return (floor, "")
        return (floor, held.marks.write(floor=floor, held=not held.given_back, trial=self.watch.in_trial))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group has given us these partitions."""
        if self._membership is not None:
            self._membership.begin()
        self._held = {partition: TakenPartition() for partition in assigned}
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
        grace = self._rebalance_timeout if await self._is_member() else 0.0
        handed_back = await release(
            [delivery for held in leaving.values() for delivery in held.deliveries], grace=grace
        )
        for held in leaving.values():
            held.given_back = True
        await self._is_member()
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
        if self.watch.limit and taken:
            try:
                async with asyncio.timeout(_COMMIT_PATIENCE):
                    await self.watch.read(self._consumer, taken)
            except Exception:
                log.exception("Whether requests have crashed their workers cannot be read")
        for held in taken.values():
            held.committable = True
        if self.watch.limit:
            await self._is_member()
        for held in taken.values():
            held.known.set()

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
