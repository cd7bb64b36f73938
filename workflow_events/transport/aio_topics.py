"""Waiting for a topic with aiokafka, without making it: aiokafka's own wait asks the broker to make it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    ProducerClosed,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest
from tenacity import AsyncRetrying, retry_if_exception, retry_if_result, wait_fixed

from workflow_events.transport.timing import TOPIC_POLL

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient

__all__ = ["TopicLookUps", "await_topic"]


class TopicLookUps:
    """The waits of one producer. Many first sends to a topic share one look-up."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._running: dict[tuple[str, float], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def wait(self, topic: str, patience: float) -> None:
        """Wait until the client knows the topic.

        Raises:
            KafkaError: aiokafka's, as :func:`await_topic` does; ``ProducerClosed`` after :meth:`cancel`.
        """
        key = (topic, patience)
        look_up = self._running.get(key)
        if look_up is None:
            look_up = self._running[key] = asyncio.create_task(await_topic(self._client, topic, patience))

            def forget(done: asyncio.Task[None]) -> None:
                del self._running[key]
                if not done.cancelled():
                    done.exception()  # all who waited may have gone

            look_up.add_done_callback(forget)
        try:
            await asyncio.shield(look_up)
        except asyncio.CancelledError:
            here = asyncio.current_task()
            if look_up.cancelled() and here is not None and not here.cancelling():
                raise ProducerClosed from None  # nobody has cancelled this call
            raise

    async def cancel(self) -> None:
        """End all waits."""
        running = list(self._running.values())
        for look_up in running:
            look_up.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def await_topic(client: AIOKafkaClient, topic: str, patience: float) -> None:
    """Wait until the topic is there, for ``patience`` seconds.

    Raises:
        UnknownTopicOrPartitionError: it is not.
        TopicAuthorizationFailedError: it may not be described.
        KafkaTimeoutError: no broker answered, or none told of its partitions.
        KafkaError: what else the broker says of it.
    """
    refusal: KafkaError | None = None

    async def known() -> bool:
        nonlocal refusal
        node = client.get_random_node()
        if node is None:
            return False
        response = await client.send(node, MetadataRequest([topic], allow_auto_topic_creation=False))
        code = next((found[0] for found in response.topics if found[1] == topic), 0)
        refusal = for_code(code)(topic) if code else None
        if refusal is not None:
            if refusal.retriable:
                return False
            raise refusal
        await client.add_topic(topic)
        if not client.cluster.partitions_for_topic(topic):
            # An update that was under way when the topic was added has not asked for it, and counts as one that has.
            await client.force_metadata_update()
        return bool(client.cluster.partitions_for_topic(topic))

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda found: not found) | retry_if_exception(_passing), wait=wait_fixed(TOPIC_POLL)
    )
    try:
        async with asyncio.timeout(patience):
            await retrying(known)
    except TimeoutError as error:
        raise refusal or KafkaTimeoutError(f"no answer within {patience:g} s") from error


def _passing(error: BaseException) -> bool:
    return isinstance(error, OSError) or bool(getattr(error, "retriable", False))
