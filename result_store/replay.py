"""Reading the topics once more from a time on, into the same rows: after a bug was mended, or for a store that was lost.

It is in no group, so that it takes nothing from the processors and may run beside them: whatever is stored twice, in whatever
order, makes the same rows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from result_store.batches import Batch
from result_store.facts import TopicRole
from result_store.reading import fact_of, topic_roles
from workflow_events.errors import TopicNotFoundError
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import from_times, reached
from workflow_events.signing import Signatures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from result_store.saving import Saving
    from workflow_events.settings import KafkaSettings

__all__ = ["ReplayReport", "replay"]

log = logging.getLogger(__name__)

_TICK_MS: Final = 250
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
    report = ReplayReport()
    for topic, role in reversed(topic_roles(kafka).items()):  # requests first: they say what the others only repeat
        try:
            await _replay_topic(kafka, saving, topic, role, since, report, batch_size)
        except TopicNotFoundError:
            if role is not TopicRole.DEAD_LETTERS:
                raise
            report.missing.append(topic)
    return report


async def _replay_topic(
    kafka: KafkaSettings,
    saving: Saving,
    topic: str,
    role: TopicRole,
    since: datetime,
    report: ReplayReport,
    batch_size: int,
) -> None:
    signatures = Signatures.of(kafka)
    report.messages[topic] = 0
    async with topic_log.open_log(kafka, topic) as consumer:
        numbers = topic_log.partitions(consumer, topic)
        stop = await topic_log.end(consumer, topic, numbers)
        first = await topic_log.beginning(consumer, topic, numbers)
        milliseconds = int(since.timestamp() * 1000)
        found = await consumer.offsets_for_times({TopicPartition(topic, number): milliseconds for number in numbers})
        times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
        start = from_times(times, first, stop)
        topic_log.assign_at(consumer, topic, start)
        log.info("Replaying topic %r from %s to %s", topic, _offsets(start), _offsets(stop))
        done = False
        while not done:
            batch: Batch[int] = Batch(batch_size)
            while batch.room and not done:
                records_of = await consumer.getmany(timeout_ms=_TICK_MS, max_records=min(_AT_ONCE, batch.room))
                for tp, records in records_of.items():
                    for record in records:
                        # What came after the replay began is the processors' to store.
                        if record.offset < stop[tp.partition]:
                            fact = fact_of(record, role, kafka, signatures)
                            batch.add(tp.partition, record, fact, now=time.monotonic())
                at = {number: await consumer.position(TopicPartition(topic, number)) for number in stop}
                done = reached(at, stop)
            if batch:
                changed = await saving.save(batch)
                await saving.tell(changed)
                report.changed += len(changed)
                report.messages[topic] += len(batch)
            await asyncio.sleep(0)


def _offsets(cursor: Mapping[int, int]) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items())) or "nothing"
