"""Reading the topics once more from a time on, into the same rows: after a bug was mended, or for a store that was lost.

It is in no group, so that it takes nothing from the processors and may run beside them: whatever is stored twice, in whatever
order, makes the same rows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from result_store.assignment import existing_topics
from result_store.batches import Batch
from result_store.intake import Intake, end_of
from result_store.pipeline import Pipeline
from result_store.reading import fact_of, topic_roles
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import from_times
from workflow_events.signing import Signatures
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from aiokafka import AIOKafkaConsumer

    from result_store.records import StoredEvent
    from result_store.saving import Saving
    from workflow_events.settings import KafkaSettings

__all__ = ["ReplayReport", "replay"]

log = logging.getLogger(__name__)

_TICK_MS: Final = 250
_FETCH_MAX_WAIT_MS: Final = 100
"""How long a broker holds an empty fetch. The embedded broker does not wake a held fetch when a record comes."""
_AT_ONCE: Final = 256


@dataclass(slots=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        messages: read, by topic.
        missing: topics of dead letters that do not exist.
        changed: rows of requests that changed; none where the store had it all. One that changed in several batches counts
            once for each.
    """

    messages: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    changed: int = 0


async def replay(kafka: KafkaSettings, saving: Saving, since: datetime, *, batch_size: int) -> ReplayReport:
    """Store again what was published at or after a time (aware), up to what there is when it begins.

    Args:
        kafka: where the topics are. Where brokers keep the publisher's time, it is that which counts.
        saving: stores it.
        batch_size: the most messages that are stored together.

    Raises:
        TopicNotFoundError: the topic of requests, of results or of progress does not exist.
        TransportError: Kafka cannot be reached, or refuses.
        DatabaseError, ArchiveError, AnalyticsError: as :meth:`~result_store.saving.Saving.save` raises them.
    """
    roles, signatures = topic_roles(kafka), Signatures.of(kafka)

    async def tell(_: Batch[TopicPartition], changed: list[StoredEvent]) -> None:
        await saving.forget(changed)
        await saving.announce(changed)
        report.changed += len(changed)

    async with AsyncExitStack() as stack:
        consumer = await aio.start_consumer(kafka, fetch_max_wait_ms=_FETCH_MAX_WAIT_MS)
        stack.push_async_callback(aio.stop, consumer)
        topics = await existing_topics(consumer, kafka, roles)
        report = ReplayReport(dict.fromkeys(topics, 0), [topic for topic in roles if topic not in topics])
        with aio.map_errors(kafka, "read"):
            unread = _Unread(consumer, await _begin(consumer, topics, since))
        intake, pipeline = Intake(), Pipeline(saving, tell)
        intake.attach(consumer)
        stack.push_async_callback(pipeline.cancel)
        while partitions := unread.partitions(intake):
            batch: Batch[TopicPartition] = Batch(batch_size)
            while batch.room and partitions:
                with aio.map_errors(kafka, "read"):
                    found = await intake.read(partitions, min(_AT_ONCE, batch.room), timeout_ms=_TICK_MS)
                for partition, record in found:
                    fact = fact_of(record, roles[partition.topic], kafka, signatures)
                    batch.add(partition, record, fact, now=time.monotonic())
                    report.messages[partition.topic] += 1
                partitions = unread.partitions(intake)
                await asyncio.sleep(0)  # there may be others in the event loop
            while pipeline.is_full:
                pipeline.raise_what_failed()
                await pipeline.wait()
            if batch:
                pipeline.begin(batch)
        await pipeline.finish()
    return report


class _Unread:
    """How far each partition went when the replay began.

    Asked for the ends of its topics, the embedded broker takes the last batch for a single message; with what it gives to read it
    says the right one.
    """

    def __init__(self, consumer: AIOKafkaConsumer, last: Mapping[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._last = last
        self._ends: dict[TopicPartition, int] = {}
        self._left = list(last)

    def partitions(self, intake: Intake) -> list[TopicPartition]:
        """Those that are not read to their end. The client's own position also passes what is no message."""
        self._left = [partition for partition in self._left if not self._is_read(partition, intake.position(partition))]
        return self._left

    def _is_read(self, partition: TopicPartition, position: int | None) -> bool:
        if partition not in self._ends:
            end = end_of(self._consumer, partition)
            if end is None:
                return False
            self._ends[partition] = max(end, self._last[partition])
        return position is not None and position >= self._ends[partition]


async def _begin(consumer: AIOKafkaConsumer, topics: Iterable[str], since: datetime) -> dict[TopicPartition, int]:
    """Have topics read from a time on; where each partition ends now."""
    starts: dict[TopicPartition, int] = {}
    ends: dict[TopicPartition, int] = {}
    for topic in topics:
        numbers = topic_log.partitions(consumer, topic)
        # The end first: what is stored between the questions lies behind it, and is the processors' to store.
        last = await topic_log.end(consumer, topic, numbers)
        first = await topic_log.beginning(consumer, topic, numbers)
        milliseconds = int(since.timestamp() * 1000)
        found = await consumer.offsets_for_times({TopicPartition(topic, number): milliseconds for number in numbers})
        times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
        start = from_times(times, first, last)
        log.info("Replaying topic %r from %s to %s", topic, _offsets(start), _offsets(last))
        starts.update({TopicPartition(topic, number): offset for number, offset in start.items()})
        ends.update({TopicPartition(topic, number): offset for number, offset in last.items()})
    consumer.assign(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    return ends


def _offsets(cursor: Mapping[int, int]) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items())) or "nothing"
