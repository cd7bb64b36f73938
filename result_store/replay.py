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
from workflow_events.replies.cursor import from_times
from workflow_events.signing import Signatures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aiokafka import AIOKafkaConsumer

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
        partitions = [TopicPartition(topic, number) for number in topic_log.partitions(consumer, topic)]
        last = await _begin(consumer, topic, since)
        ends: dict[TopicPartition, int] = {}
        done = not partitions
        while not done:
            batch: Batch[TopicPartition] = Batch(batch_size)
            while batch.room and not done:
                found = await consumer.getmany(timeout_ms=_TICK_MS, max_records=min(_AT_ONCE, batch.room))
                for partition, records in found.items():
                    for record in records:
                        fact = fact_of(record, role, kafka, signatures)
                        batch.add(partition, record, fact, now=time.monotonic())
                done = all([await _has_read(consumer, partition, last, ends) for partition in partitions])
                await asyncio.sleep(0)  # there may be others in the event loop
            if batch:
                changed = await saving.save(batch)
                await saving.forget(changed)
                await saving.announce(changed)
                report.changed += len(changed)
                report.messages[topic] += len(batch)


async def _begin(consumer: AIOKafkaConsumer, topic: str, since: datetime) -> dict[int, int]:
    """Have a topic read from a time on; where it ends now."""
    numbers = topic_log.partitions(consumer, topic)
    # The end first: what is stored between the questions lies behind it, and is the processors' to store.
    last = await topic_log.end(consumer, topic, numbers)
    first = await topic_log.beginning(consumer, topic, numbers)
    milliseconds = int(since.timestamp() * 1000)
    found = await consumer.offsets_for_times({TopicPartition(topic, number): milliseconds for number in numbers})
    times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
    start = from_times(times, first, last)
    topic_log.assign_at(consumer, topic, start)
    log.info("Replaying topic %r from %s to %s", topic, _offsets(start), _offsets(last))
    return last


async def _has_read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, last: Mapping[int, int], ends: dict[TopicPartition, int]
) -> bool:
    """Whether a partition is read as far as it went when it was first looked at.

    Asked for the ends of its topics, the embedded broker takes the last batch for a single message; with what it gives to read it
    says the right one.
    """
    if partition not in ends:
        end = consumer.last_stable_offset(partition)
        if end is None or end < 0:
            end = consumer.highwater(partition)
        if end is None:
            return False
        ends[partition] = max(end, last[partition.partition])
    # The client's own position also passes what is no message, such as a transaction's markers.
    return bool(await consumer.position(partition) >= ends[partition])


def _offsets(cursor: Mapping[int, int]) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items())) or "nothing"
