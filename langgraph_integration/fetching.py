"""How a worker takes messages into its hands: as many as it has room for, and none while another may have its partitions."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from workflow_events.retry import async_transport_retrying
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiokafka import AIOKafkaConsumer

    from langgraph_integration.deliveries import Delivery
    from langgraph_integration.membership import Membership
    from langgraph_integration.partitions import HeldPartitions
    from workflow_events.settings import KafkaSettings

__all__ = ["TOUCH_INTERVAL", "Fetching"]

# Seconds.
TOUCH_INTERVAL = 60.0
"""How often aiokafka is told, while the worker is full, that it is alive: far below the time after which it leaves the group."""
_POLL_TIMEOUT = 60.0
_LOOK_AGAIN = 0.1
_NOWHERE = TopicPartition("", 0)


class Fetching:
    """Reads the requests topic, and has each message handled in a task of its own.

    Args:
        settings: name the topic in errors.
        held: the partitions.
        membership: whether they are still ours.
        concurrency: runs at the same time.
    """

    def __init__(
        self, settings: KafkaSettings, held: HeldPartitions, membership: Membership, *, concurrency: int
    ) -> None:
        self._settings = settings
        self._held = held
        self._membership = membership
        # As many again as can run wait in hand, so that a slot which becomes free is filled at once.
        self._most_in_hand = 2 * concurrency
        # A good part has to have ended before more is fetched, so that fetching is not done one by one.
        self._enough = self._most_in_hand - max(1, concurrency // 2)

    async def run(
        self,
        consumer: AIOKafkaConsumer,
        tasks: asyncio.TaskGroup,
        handle: Callable[[Delivery], Coroutine[Any, Any, None]],
    ) -> None:
        """Fetch until cancelled.

        Args:
            tasks: owns the handling.
            handle: sees one message through.

        Raises:
            TransportError: the broker refuses.
        """
        retrying = async_transport_retrying(float("inf"))
        held = self._held
        while True:
            room = self._most_in_hand - held.in_hand
            if room <= 0:
                await self._wait_for_room()
                await self._touch(consumer)
                continue
            if self._is_cut_off():
                await asyncio.sleep(_LOOK_AGAIN)
                await self._touch(consumer)
                continue
            batches: dict[TopicPartition, list[Any]] = await retrying(self._fetch, consumer, room)
            for partition, records in batches.items():
                if self._is_cut_off():
                    held.go_back(partition, records[0].offset)
                    continue
                for record in records:
                    delivery = held.take(partition, record)
                    if delivery is not None:
                        delivery.task = tasks.create_task(handle(delivery))
                        delivery.task.add_done_callback(partial(held.settle, delivery))

    def _is_cut_off(self) -> bool:
        return self._held.assigned.is_set() and not self._membership.holds

    async def _fetch(self, consumer: AIOKafkaConsumer, room: int) -> dict[TopicPartition, list[Any]]:
        with aio.map_errors(self._settings, "read requests", topic=self._settings.workflow_events_topic):
            batches: dict[TopicPartition, list[Any]] = await consumer.getmany(
                timeout_ms=round(_POLL_TIMEOUT * 1000), max_records=room
            )
            return batches

    @staticmethod
    async def _touch(consumer: AIOKafkaConsumer) -> None:
        # Reads nothing, and tells aiokafka that this consumer is alive.
        await consumer.getmany(_NOWHERE, timeout_ms=0)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(TOUCH_INTERVAL):
                while self._held.in_hand > self._enough:
                    self._held.changed.clear()
                    await self._held.changed.wait()
        except TimeoutError:
            return
