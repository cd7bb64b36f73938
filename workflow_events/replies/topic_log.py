"""A topic's log through aiokafka, in terms of cursors."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from workflow_events.errors import BrokerUnavailableError, TransportError
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from aiokafka import AIOKafkaConsumer

    from workflow_events.replies.cursor import Cursor
    from workflow_events.settings import KafkaSettings

__all__ = ["assign_at", "beginning", "end", "ends_before", "open_log", "partitions", "taken_as_passing"]

_METADATA_MAX_AGE_MS = 10_000
"""How long a partition that is added to the reply topic may go unseen."""
_FETCH_MAX_WAIT_MS = 100
"""How long a broker holds an empty fetch. The embedded broker does not wake a held fetch when a record comes."""


@contextmanager
def taken_as_passing() -> Iterator[None]:
    """Takes every transport error inside for one that passes, for who has read the topic before.

    Brokers that come back may for a while not know their topics, or not yet the rights to them.
    """
    try:
        yield
    except TransportError as error:
        if error.retryable:
            raise
        raise BrokerUnavailableError(str(error)) from error


@asynccontextmanager
async def open_log(settings: KafkaSettings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that knows the topic and reads nothing yet.

    Raises:
        TransportError: no broker can be reached, it refuses, or the topic does not exist.
    """
    consumer = await aio.start_consumer(
        settings, topic, metadata_max_age_ms=_METADATA_MAX_AGE_MS, fetch_max_wait_ms=_FETCH_MAX_WAIT_MS
    )
    try:
        # Subscribed only to have the topic looked up; from here on partitions are assigned by hand.
        consumer.unsubscribe()
        with aio.map_errors(settings, "read", topic=topic):
            yield consumer
    finally:
        await aio.stop(consumer)


def partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    """The partitions of a topic, as far as the client knows."""
    return sorted(consumer.partitions_for_topic(topic) or ())


async def beginning(consumer: AIOKafkaConsumer, topic: str, of: Iterable[int]) -> dict[int, int]:
    """The first offset that is left in each partition."""
    found = await consumer.beginning_offsets([TopicPartition(topic, partition) for partition in of])
    return {tp.partition: offset for tp, offset in found.items()}


async def end(consumer: AIOKafkaConsumer, topic: str, of: Iterable[int]) -> dict[int, int]:
    """The offset that the next record will have in each partition; open transactions are not counted in."""
    found = await consumer.end_offsets([TopicPartition(topic, partition) for partition in of])
    return {tp.partition: offset for tp, offset in found.items()}


def ends_before(consumer: AIOKafkaConsumer, topic: str, positions: Cursor) -> bool:
    """Whether a partition ended before ``positions`` when it was last fetched; asks nobody."""
    for partition, position in positions.items():
        end_then = consumer.highwater(TopicPartition(topic, partition))
        if end_then is not None and end_then < position:
            return True
    return False


def assign_at(consumer: AIOKafkaConsumer, topic: str, cursor: Cursor) -> None:
    """Read the partitions of a cursor from there on."""
    consumer.assign([TopicPartition(topic, partition) for partition in cursor])
    for partition, offset in cursor.items():
        consumer.seek(TopicPartition(topic, partition), offset)
