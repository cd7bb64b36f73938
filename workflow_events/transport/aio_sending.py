"""One message through aiokafka's producer: handed over, confirmed, and what it means where it is not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from aiokafka.errors import ConsumerStoppedError, KafkaError, KafkaTimeoutError, RequestTimedOutError

from workflow_events.errors import WorkflowEventsError
from workflow_events.transport.faults import check_partition, translate, undelivered
from workflow_events.transport.timing import TOPIC_PATIENCE, Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from aiokafka.structs import RecordMetadata

    from workflow_events.settings import KafkaSettings
    from workflow_events.transport.aio import Producer
    from workflow_events.wire import OutgoingMessage

__all__ = ["FOREIGN", "made_ready", "not_confirmed", "post", "prepared", "send"]

FOREIGN = (KafkaError, ConsumerStoppedError, OSError)
"""What aiokafka raises; a TimeoutError is an OSError."""

_UNLIMITED: nullcontext[None] = nullcontext()


async def send(producer: Producer, message: OutgoingMessage, timeout: float | None = None) -> RecordMetadata:
    """Publishes a message and waits until all in-sync replicas have it.

    The producer itself tries again while that can help. Cancelling the call does not take back a message that is under way.

    Args:
        producer: from :func:`start_producer`.
        message: what to publish.
        timeout: seconds until the confirmation; None takes ``request_timeout``.

    Raises:
        DeliveryError: not confirmed in time; it may still arrive, for at most ``request_timeout``.
        TopicNotFoundError: the topic did not exist for 5 seconds, or for ``timeout`` if that is less.
        TransportError: another one of the tree.
    """
    settings = producer.settings
    limit = settings.request_timeout if timeout is None else timeout
    watch = Stopwatch(limit)
    sent = await post(producer, message, limit)
    async with _within(settings, message.topic, limit if limit >= settings.request_timeout else watch.remaining()):
        try:
            return await sent
        except FOREIGN as error:
            raise not_confirmed(settings, message.topic, len(message.value), error, limit) from error


@asynccontextmanager
async def _limited(settings: KafkaSettings, topic: str, timeout: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise undelivered(settings, topic, timeout) from error


def _within(settings: KafkaSettings, topic: str, timeout: float) -> AbstractAsyncContextManager[None]:
    """Limits the block, where it is less than what the producer itself gives up after."""
    return _UNLIMITED if timeout >= settings.request_timeout else _limited(settings, topic, timeout)


async def post(producer: Producer, message: OutgoingMessage, timeout: float) -> asyncio.Future[RecordMetadata]:
    """Hands a message to the producer, which goes on by itself; what is returned will be the confirmation.

    The confirmation fails with aiokafka's own errors: :func:`not_confirmed` says what they mean.

    Args:
        timeout: seconds that the topic is given to exist, and then the producer to have room.

    Raises:
        TopicNotFoundError: the topic did not exist for 5 seconds, or for ``timeout`` if that is less.
        DeliveryError: the producer had no room.
        TransportError: it could not be handed over; it will not arrive.
    """
    try:
        message = await _for_its_topic(producer, message, timeout)
        sent: asyncio.Future[RecordMetadata]
        async with _within(producer.settings, message.topic, timeout):
            sent = await producer.send(
                message.topic, message.value, message.key, message.partition, headers=message.headers
            )
    except WorkflowEventsError:
        raise
    except FOREIGN as error:
        raise not_confirmed(producer.settings, message.topic, len(message.value), error, timeout) from error
    return sent


async def prepared(producer: Producer, message: OutgoingMessage) -> OutgoingMessage:
    """A message as it is to be published by another producer, all checked that can be without publishing it.

    Raises:
        TopicNotFoundError: the topic did not exist for 5 seconds.
        MessageTooLargeError: it is larger than the settings allow.
        TransportError: another one of the tree.
    """
    timeout = producer.settings.request_timeout
    try:
        ready = await _for_its_topic(producer, message, timeout)
        producer._serialize(ready.key, ready.value, ready.headers)  # noqa: SLF001 - where aiokafka measures it
    except WorkflowEventsError:
        raise
    except FOREIGN as error:
        raise not_confirmed(producer.settings, message.topic, len(message.value), error, timeout) from error
    return ready


async def _for_its_topic(producer: Producer, message: OutgoingMessage, timeout: float) -> OutgoingMessage:
    """A message made ready, once its topic is known to be there."""
    partitions = producer.client.cluster.partitions_for_topic(message.topic)
    if not partitions:
        try:
            await producer.look_ups.wait(message.topic, min(TOPIC_PATIENCE, timeout))
        except FOREIGN as error:
            raise translate(error, action="publish", settings=producer.settings, topic=message.topic) from error
        partitions = producer.client.cluster.partitions_for_topic(message.topic)
    if message.partition is not None:
        check_partition(producer.settings, message, partitions)
    return message if producer.outgoing is None else await made_ready(producer, message, timeout)


async def made_ready(producer: Producer, message: OutgoingMessage, timeout: float) -> OutgoingMessage:
    """A message as it is to be published, where the settings have something done to it before (:mod:`workflow_events.outgoing`).

    Args:
        timeout: seconds.

    Raises:
        DeliveryError: it could not be made ready in time.
        TransportError, ConfigurationError: the store of large payloads does not take its payload.
    """
    if producer.outgoing is None:
        return message
    async with _within(producer.settings, message.topic, timeout):
        return await producer.outgoing.aready(message)


def not_confirmed(
    settings: KafkaSettings, topic: str, size: int, error: BaseException, timeout: float
) -> WorkflowEventsError:
    """Our error for a message's failed confirmation.

    Args:
        size: bytes of the message's value.
        timeout: seconds that were waited, for the error's text.
    """
    if isinstance(error, KafkaTimeoutError | RequestTimedOutError):
        return undelivered(settings, topic, timeout)
    return translate(error, action="publish", settings=settings, topic=topic, size=size)
