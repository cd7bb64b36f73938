"""Where in the progress topic a request's past can begin: by the time in its id (KIP-79), with a margin for clocks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from workflow_events.identifiers import timestamp_of
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import from_times
from workflow_events.transport import aio

if TYPE_CHECKING:
    from uuid import UUID

    from workflow_events.settings import KafkaSettings

__all__ = ["PastCursors", "begins_after"]

_STEP_SECONDS = 10
"""Requests of so many seconds share one look-up."""
_MOST_REMEMBERED = 256


def begins_after(correlation_id: UUID, *, now: datetime, margin: float, look_back: float) -> datetime:
    """A time (aware) before which nothing can have been said of a request.

    Args:
        now: where the id lies in the future, by its maker's clock, this counts.
        margin: seconds by which clocks may disagree.
        look_back: seconds before now, for an id that carries no time.
    """
    made = timestamp_of(correlation_id)
    if made is None:
        return now - timedelta(seconds=look_back)
    return min(made, now) - timedelta(seconds=margin)


class PastCursors:
    """Cursors of one progress topic by time. Requests of one time share a look-up; what was found is remembered."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._found: dict[int, dict[int, int]] = {}
        self._turn = asyncio.Lock()

    async def for_request(self, correlation_id: UUID) -> dict[int, int]:
        """A cursor that misses nothing said of a request.

        Raises:
            TransportError: the brokers could not be asked.
        """
        settings = self._settings
        when = begins_after(
            correlation_id,
            now=datetime.now(tz=UTC),
            margin=settings.clock_margin,
            look_back=settings.look_back,
        )
        step = max(0, int(when.timestamp()) // _STEP_SECONDS)
        async with self._turn:
            cursor = self._found.get(step)
            if cursor is None:
                cursor = await self._look_up(step * _STEP_SECONDS * 1000)
                if len(self._found) >= _MOST_REMEMBERED:
                    del self._found[next(iter(self._found))]
                self._found[step] = cursor
        return dict(cursor)

    def forget(self) -> None:
        """The log was made anew or cut: what was found means nothing any more."""
        self._found.clear()

    async def _look_up(self, milliseconds: int) -> dict[int, int]:
        async with topic_log.open_log(self._settings, self._topic) as consumer:
            with aio.map_errors(self._settings, "look up by time", topic=self._topic):
                numbers = topic_log.partitions(consumer, self._topic)
                # The end first: what is stored between the questions lies behind the cursor, not before it.
                last = await topic_log.end(consumer, self._topic, numbers)
                first = await topic_log.beginning(consumer, self._topic, numbers)
                found = await consumer.offsets_for_times(
                    {TopicPartition(self._topic, number): milliseconds for number in numbers}
                )
        times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
        return from_times(times, first, last)
