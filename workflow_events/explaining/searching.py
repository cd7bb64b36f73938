"""Finds the messages about a request in one topic, from a time on to where the topic ends now. In no group; commits nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from workflow_events.replies.sync_log import SyncLog
from workflow_events.wire import HEADER_CORRELATION_ID, correlation_key

if TYPE_CHECKING:
    from uuid import UUID

    from workflow_events.settings import KafkaSettings

__all__ = ["Found", "search", "time_of"]

_POLL_SECONDS = 0.25
_LOOKS_BEYOND = 2  # the embedded broker's end offset may be too low


class Found(NamedTuple):
    """What is in a topic about a request.

    Attributes:
        records: as the client gives them, in the order of their times.
        forgets: whether the log begins later than the time, so that something may be gone.
    """

    records: list[Any]
    forgets: bool


def search(settings: KafkaSettings, topic: str, correlation_id: UUID, since: datetime) -> Found:
    """The messages that name the request in their header, or, where they have none, in their body.

    Raises:
        TransportError: the broker cannot be asked or refuses, or there is no such topic.
    """
    key = correlation_key(correlation_id)
    seconds = settings.request_timeout
    log = SyncLog(settings, topic)
    records: list[Any] = []
    try:
        end = log.end(seconds)
        first = log.beginning(seconds)
        cursor = log.at_time(max(0, int(since.timestamp() * 1000)), seconds)
        log.read_from(cursor, seconds)
        looks_left = _LOOKS_BEYOND
        while looks_left:
            for batch in log.poll(_POLL_SECONDS).values():
                records += [record for record in batch if _is_about(record, key)]
            at = log.position(cursor, seconds)
            looks_left -= all(at.get(partition, 0) >= offset for partition, offset in end.items())
    finally:
        log.disconnect()
    records.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
    # Of a partition whose first record is younger than the time, all is read, and nobody knows what was before.
    return Found(
        records, any(first.get(partition, 0) > 0 and at <= first[partition] for partition, at in cursor.items())
    )


def time_of(record: Any) -> datetime:
    """When a record was published, by the broker or its sender."""
    return datetime.fromtimestamp(max(0, record.timestamp) / 1000, tz=UTC)


def _is_about(record: Any, key: bytes) -> bool:
    for name, value in record.headers:
        if name == HEADER_CORRELATION_ID:
            return value is not None and bytes(value).lower() == key
    # Whatever field it stands in: of strangers' messages few hold it anywhere.
    return record.value is not None and key in bytes(record.value).lower()
