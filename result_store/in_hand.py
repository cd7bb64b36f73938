"""What a processor has read and not yet committed: a batch that fills, and those that are being stored."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from result_store.batches import Batch
from result_store.pipeline import Pipeline
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer

    from result_store.metrics import StoreMetrics
    from result_store.records import StoredEvent
    from result_store.saving import Saving
    from workflow_events.settings import KafkaSettings

__all__ = ["LET_GO_PATIENCE", "InHand"]

log = logging.getLogger(__name__)

LET_GO_PATIENCE: Final = 20.0
"""Seconds that storing what is in hand may take before partitions are given back, or the processor ends."""
_LOOK_AGAIN: Final = 0.25
_TOUCH_INTERVAL: Final = 60.0
"""Seconds after which aiokafka is told, while a batch takes long to store, that this member is alive."""
_NOWHERE: Final = TopicPartition("", 0)


class InHand:
    """Stores batches while the next fills, and commits what is stored.

    The reader calls :meth:`hand_over`, a rebalance :meth:`let_go`, and neither harms the other: a batch is begun to be stored
    without waiting in between.

    Args:
        kafka: name the cluster in errors.
        saving: stores a batch.
        metrics: told how far behind each partition is.
        batch_size: the most messages that are stored together.

    Attributes:
        filling: the batch that is read into.
    """

    def __init__(self, kafka: KafkaSettings, saving: Saving, metrics: StoreMetrics, *, batch_size: int) -> None:
        self._kafka = kafka
        self._saving = saving
        self._metrics = metrics
        self._batch_size = batch_size
        self._consumer: AIOKafkaConsumer = None
        self.filling = self._new_batch()
        self._pipeline = Pipeline(saving, self._see_through)
        self._announcing: asyncio.Task[None] | None = None
        self._uncommitted: dict[TopicPartition, int] = {}

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Say whose offsets are committed; once, before anything is read."""
        self._consumer = consumer

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being stored."""
        return not self._pipeline.batches

    def is_due(self, interval: float) -> bool:
        """Whether the first message of what fills has waited for ``interval`` seconds."""
        return self.filling.is_due(time.monotonic(), interval)

    def raise_what_failed(self) -> None:
        """Raise the error that storing ended with, if it did."""
        self._pipeline.raise_what_failed()

    async def hand_over(self) -> None:
        """Begin to store what is read, once there is room for it among what is being stored.

        Raises:
            WorkflowEventsError: as :meth:`~result_store.saving.Saving.save` raises them.
        """
        while self._pipeline.is_full:
            self.raise_what_failed()
            if not await self._pipeline.wait(_TOUCH_INTERVAL):
                # Reads nothing, and tells aiokafka that this consumer is alive.
                await self._consumer.getmany(_NOWHERE, timeout_ms=0)
        self._begin()

    async def let_go(self) -> None:
        """Store and commit what is in hand; what cannot be stored in time is dropped, and will be read again."""
        try:
            async with asyncio.timeout(LET_GO_PATIENCE):
                while not self._has_failed and (self.filling or not self.is_idle):
                    if self.filling and not self._pipeline.is_full:
                        self._begin()
                    await self._pipeline.wait(_LOOK_AGAIN)
                if not self._has_failed:
                    await self._commit()
                if self._announcing is not None:
                    await asyncio.wait([self._announcing])
        except TimeoutError:
            log.warning("What is in hand could not be stored within %g s; it will be read again", LET_GO_PATIENCE)
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Give up what is in hand; nothing of it is committed."""
        self.filling = self._new_batch()
        self._uncommitted.clear()
        await self._pipeline.cancel()
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.wait([self._announcing])

    def note_lag(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Tell how many messages of each partition are not stored yet, as far as the client knows; asks nobody.

        Args:
            positions: how far each is read.
        """
        in_hand = [*self._pipeline.batches, self.filling]
        for partition, read_to in positions.items():
            end = None if read_to is None else self._consumer.highwater(partition)
            if read_to is None or end is None:
                continue
            stored_to = min(batch.starts.get(partition, read_to) for batch in in_hand)
            self._metrics.behind(partition.topic, partition.partition, max(0, end - stored_to))

    @property
    def _has_failed(self) -> bool:
        """Whether what is in hand cannot be stored now."""
        return self._saving.failing is not None or self._pipeline.has_failed

    def _begin(self) -> None:
        self.raise_what_failed()
        if self.filling:
            batch, self.filling = self.filling, self._new_batch()
            self._pipeline.begin(batch)

    async def _see_through(self, batch: Batch[TopicPartition], changed: list[StoredEvent]) -> None:
        self._uncommitted.update(batch.ends)
        await self._commit()
        await self._saving.forget(changed)
        # Live views hear of one batch after the other, while the next is stored.
        if self._announcing is not None:
            await asyncio.wait([self._announcing])
        self._announcing = asyncio.ensure_future(self._saving.announce(changed))

    async def _commit(self) -> None:
        """Commit what is stored. Where the group has gone on without us, whoever has the partitions now stores it again."""
        if not self._uncommitted:
            return
        try:
            await self._consumer.commit(dict(self._uncommitted))
        except (CommitFailedError, IllegalStateError) as error:
            log.info("Offsets are not committed, for the group is rebalancing: %s", error)
            return
        except KafkaError:
            with aio.map_errors(self._kafka, "commit offsets", topic=next(iter(self._uncommitted)).topic):
                raise
        self._uncommitted.clear()

    def _new_batch(self) -> Batch[TopicPartition]:
        return Batch(self._batch_size)
