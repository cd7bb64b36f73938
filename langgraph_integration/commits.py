"""What a worker commits of the partitions that it holds: how far each is done, and the marks beside it.

A commit goes out by itself, through the consumer, or in a transaction with the results that it passes. One at a time: of two
that are under way the broker keeps the one that it was given last, whichever was meant to be the later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    UnknownMemberIdError,
)

from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from langgraph_integration.crash_watch import CrashWatch
    from langgraph_integration.deliveries import Delivery, TakenPartition
    from langgraph_integration.membership import Membership
    from workflow_events.settings import KafkaSettings

__all__ = ["COMMIT_PATIENCE", "Commits", "Stand"]

log = logging.getLogger(__name__)

COMMIT_PATIENCE = 10.0
"""Seconds that the commit before giving partitions back may take."""

Stand = tuple[int, str]
"""An offset to commit, and its metadata."""


class Commits:
    """Commits the partitions that are held.

    Args:
        settings: name the cluster in errors.
        held: the partitions, as they are held now.
        watch: whether crashes are counted, and whether a request is on trial.
        membership: told when commits are confirmed; None where nobody asks for it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        held: dict[TopicPartition, TakenPartition],
        watch: CrashWatch,
        membership: Membership | None,
    ) -> None:
        self._settings = settings
        self._held = held
        self._watch = watch
        self._membership = membership
        self._lock = asyncio.Lock()
        self._consumer: AIOKafkaConsumer = None

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Say which consumer the partitions belong to."""
        self._consumer = consumer

    async def commit(self, *, probe: bool = False, last: bool = False) -> None:
        """Commit each partition's floor and marks where they have moved.

        Args:
            probe: commit also what has not moved, to learn whether the group still knows us.
            last: the worker ends, and gives back whatever it holds. What a transaction has committed is committed once more:
                the broker confirms a transaction a moment before it shows its offsets to the next owner.

        Raises:
            CommitFailedError: the group has gone on without us; what was to be committed will be delivered again.
            TransportError: the commit is refused.
        """
        async with self._lock:
            stands = {}
            for partition, held in self._held.items():
                held.given_back |= last
                stand = self._stand(held)
                if stand is not None and (probe or last or stand != held.committed):
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
            self._note(stands)

    @asynccontextmanager
    async def with_transaction(self, ending: Iterable[Delivery]) -> AsyncIterator[dict[TopicPartition, Stand]]:
        """What to commit in the transaction that these messages end with. No other commit goes out while inside.

        To leave without an error says that the transaction is committed, to leave with one that it is not. To be cancelled says
        that nobody knows: then nothing more is committed of these partitions, lest it write over what the transaction has.
        """
        offsets: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        async with self._lock:
            for delivery in ending:
                offsets[delivery.partition].add(delivery.record.offset)
            stands = {}
            for partition, ended in offsets.items():
                held = self._held.get(partition)
                stand = None if held is None else self._stand(held, ended)
                if stand is not None:
                    stands[partition] = stand
            try:
                yield stands
            except asyncio.CancelledError:
                for partition in stands:
                    if (unsure := self._held.get(partition)) is not None:
                        unsure.committable = False
                raise
            self._note(stands)

    async def is_member(self) -> bool:
        """Commits what is done; False if the group has already given our partitions to others."""
        try:
            async with asyncio.timeout(COMMIT_PATIENCE):  # aiokafka itself would try for ever
                await self.commit(probe=True)
        except CommitFailedError as error:
            return not isinstance(error.__cause__, IllegalGenerationError | UnknownMemberIdError)
        except Exception:
            log.exception("Offsets not committed")
        return True

    def _stand(self, held: TakenPartition, ending: Collection[int] = ()) -> Stand | None:
        """What to commit for a partition, once ``ending`` has ended too; None while that is not known."""
        floor = held.floor.after(ending) if ending else held.floor.floor
        floor = held.base if floor is None else floor
        if floor is None or not held.committable:
            return None
        text = held.marks.write(
            floor=floor,
            held=bool(self._watch.limit) and not held.given_back,
            trial=self._watch.in_trial,
            finished={*held.floor.ended, *ending},
        )
        return (floor, text)

    def _note(self, stands: dict[TopicPartition, Stand]) -> None:
        for partition, stand in stands.items():
            if (held := self._held.get(partition)) is not None:
                held.committed = stand
