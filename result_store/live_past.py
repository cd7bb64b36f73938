"""Reads what lies behind in the topic of announcements, some of it at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from workflow_events.replies import topic_log
from workflow_events.replies.cursor import clamp, reached

if TYPE_CHECKING:
    from result_store.live_events import Reader, StoredRecord
    from workflow_events.replies.cursor import Cursor
    from workflow_events.settings import KafkaSettings

__all__ = ["Chunk", "read_some"]

_POLL_MS: Final = 200


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the past.

    Attributes:
        start: where it begins: at the cursor, unless the log is another than it was.
        next: where the rest begins.
        is_last: whether there is no rest.
    """

    records: list[StoredRecord]
    start: Cursor
    next: Cursor
    is_last: bool


async def read_some(
    settings: KafkaSettings, topic: str, reader: Reader, cursor: Cursor, stop: Cursor, most: int
) -> Chunk:
    """Announcements between a cursor and ``stop``, about ``most`` of them.

    A partition whose cursor lies beyond the log's end, or before its start, is read from its start: the topic was made anew, or
    retention has taken what came next.

    Raises:
        TransportError: the broker cannot be asked.
    """
    async with topic_log.open_log(settings, topic) as consumer:
        first = await topic_log.beginning(consumer, topic, stop)
        last = await topic_log.end(consumer, topic, stop)
        end = {partition: min(offset, last[partition]) for partition, offset in stop.items()}
        start = clamp(cursor, first, last).start
        at = dict(start)
        open_ones = {partition: offset for partition, offset in at.items() if offset < end[partition]}
        found: list[StoredRecord] = []
        if open_ones:
            topic_log.assign_at(consumer, topic, open_ones)
        while open_ones and len(found) < most and not reached(at, end):
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=most)
            for tp, records in batches.items():
                found += reader.read([record for record in records if record.offset < end[tp.partition]])
            for partition in open_ones:
                # The client's position also passes what no record shows: transaction markers, aborted batches.
                at[partition] = await consumer.position(TopicPartition(topic, partition))
        # Beyond the end of what was asked for lies what the client is told of as news.
        done = {partition: min(at[partition], end[partition]) for partition in end}
        return Chunk(found, start, done, is_last=reached(done, end))
