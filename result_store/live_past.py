"""Reads what lies behind in the topic of announcements, some of it at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from workflow_events.errors import BrokerUnavailableError
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import clamp, reached
from workflow_events.transport.timing import Stopwatch

if TYPE_CHECKING:
    from result_store.live_events import Reader, StoredRecord
    from workflow_events.replies.cursor import Cursor
    from workflow_events.settings import KafkaSettings

__all__ = ["Chunk", "read_some"]

_POLL_MS: Final = 200
_PATIENCE: Final = 10.0
"""Seconds that a broker may give nothing of what it has."""


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

    A partition whose cursor lies beyond ``stop``, or before the log's start, is read from its start: the topic was made anew, or
    retention has taken what came next.

    Args:
        stop: up to where somebody has read already, so that all before it is there, whatever the broker says of its end.

    Raises:
        TransportError: the broker cannot be asked, or does not give what it has given before.
    """
    async with topic_log.open_log(settings, topic) as consumer:
        first = await topic_log.beginning(consumer, topic, stop)
        start = clamp(cursor, first, stop).start
        at = dict(start)
        found: list[StoredRecord] = []
        unread = {partition: offset for partition, offset in at.items() if offset < stop[partition]}
        if unread:
            topic_log.assign_at(consumer, topic, unread)
        patience = Stopwatch(_PATIENCE)
        while len(found) < most and not reached(at, stop):
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=most)
            for tp, records in batches.items():
                found += reader.read([record for record in records if record.offset < stop[tp.partition]])
            before = dict(at)
            for partition in unread:
                # The client's position also passes what no record shows: transaction markers, aborted batches. What lies
                # beyond the end is told as news.
                position = await consumer.position(TopicPartition(topic, partition))
                at[partition] = min(position, stop[partition])
            if at != before:
                patience = Stopwatch(_PATIENCE)
            elif patience.remaining() <= 0:
                raise BrokerUnavailableError(
                    f"No broker of {settings.bootstrap_servers} gave more of topic {topic!r} for {_PATIENCE:g} s."
                )
        return Chunk(found, start, at, is_last=reached(at, stop))
