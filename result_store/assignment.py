"""Which topics are there to be read, and which of their partitions the group has given us."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from aiokafka.abc import ConsumerRebalanceListener

from result_store.facts import TopicRole
from workflow_events.transport import aio
from workflow_events.transport.aio_topics import await_topic
from workflow_events.transport.timing import TOPIC_PATIENCE

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from workflow_events.settings import KafkaSettings

__all__ = ["Assignment", "existing_topics", "position_of"]

log = logging.getLogger(__name__)


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """The partitions that are held.

    Args:
        let_go: called before partitions are given back; the group waits until it returns.

    Attributes:
        held: the partitions held now.
        joined: set while we are a member of the group.
    """

    def __init__(self, let_go: Callable[[], Awaitable[None]]) -> None:
        self._let_go = let_go
        self.held: set[TopicPartition] = set()
        self.joined = asyncio.Event()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group has given us these partitions."""
        self.held = set(assigned)
        self.joined.set()
        log.info("Partitions assigned: %s", _names(self.held))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Aiokafka's: the group takes all partitions away, and waits until this returns."""
        self.joined.clear()
        try:
            if self.held:
                await self._let_go()
        finally:
            self.held = set()
        log.info("Partitions revoked: %s", _names(revoked))


async def existing_topics(
    consumer: AIOKafkaConsumer, settings: KafkaSettings, roles: Mapping[str, TopicRole]
) -> list[str]:
    """The topics to read: all but those of dead letters that are not there.

    Raises:
        TopicNotFoundError: one of the others is not.
        TransportError: no broker answers, or it refuses.
    """
    with aio.map_errors(settings, "describe the topics"):
        known = await consumer.topics()
    patience = min(TOPIC_PATIENCE, settings.connect_timeout)
    topics = sorted(topic for topic, role in roles.items() if role is not TopicRole.DEAD_LETTERS or topic in known)
    for topic in topics:
        with aio.map_errors(settings, "read", topic=topic):
            await await_topic(consumer._client, topic, patience)  # noqa: SLF001 - aiokafka's own wait makes the topic
    return topics


def position_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset that is read next; asks nobody, and is None where the client does not know.

    Beyond the last record it passes what is no record, such as a transaction's markers.
    """
    subscription = consumer._subscription.subscription  # noqa: SLF001 - aiokafka's own method would wait
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or partition not in assignment.tps:
        return None
    state = assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else None


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(sorted(f"{one.topic}-{one.partition}" for one in partitions)) or "none"
