"""aiokafka's clients: made here, and their errors mapped here.

What has to connect does so within ``connect_timeout``, trying again while no broker answers; aiokafka itself would dial each
broker once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    UnknownError,
    UnsupportedVersionError,
)

from workflow_events.errors import BrokerUnavailableError, WorkflowEventsError
from workflow_events.outgoing import Outgoing
from workflow_events.retry import async_transport_retrying
from workflow_events.transport.aio_closing import give_up_undelivered, stop, stopping
from workflow_events.transport.aio_sending import FOREIGN, not_confirmed, post, prepared, send
from workflow_events.transport.aio_topics import TopicLookUps, await_topic
from workflow_events.transport.faults import translate
from workflow_events.transport.options import (
    aiokafka_options,
    aiokafka_producer_options,
    codec_missing,
    consumer_options,
)
from workflow_events.transport.timing import TOPIC_PATIENCE, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from aiokafka import TopicPartition
    from aiokafka.abc import ConsumerRebalanceListener
    from aiokafka.structs import OffsetAndMetadata

    from workflow_events.settings import KafkaSettings

__all__ = [
    "Producer",
    "committed_with_metadata",
    "map_errors",
    "new_consumer",
    "not_confirmed",
    "on_heartbeat",
    "post",
    "prepared",
    "quiet_refusal",
    "send",
    "start_consumer",
    "start_producer",
    "start_unsure_producer",
    "stop",
]

logger = logging.getLogger(__name__)

_Client = TypeVar("_Client", bound=AIOKafkaConsumer | AIOKafkaProducer)

# What a broker says to InitProducerId where it knows no idempotent producers, or does not let us have one (before KIP-679).
_NO_IDEMPOTENCE = (UnknownError, UnsupportedVersionError, ClusterAuthorizationFailedError)


_BOOTSTRAP = AIOKafkaClient.bootstrap.__code__


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka ships no types
    """An aiokafka producer that knows its settings."""

    def __init__(self, settings: KafkaSettings, **options: Any) -> None:
        self.settings = settings
        super().__init__(**{**aiokafka_producer_options(settings), **options})
        self.look_ups = TopicLookUps(self.client)
        self.outgoing = Outgoing.of(settings)

    async def stop(self) -> None:
        """Deliver what is under way, for ``request_timeout`` at most, and close the connections."""
        try:
            await stopping(self, self._stop())
        finally:
            give_up_undelivered(self)

    async def _stop(self) -> None:
        await self.look_ups.cancel()
        await super().stop()


@contextmanager
def map_errors(
    settings: KafkaSettings, action: str, *, topic: str | None = None, size: int | None = None
) -> Iterator[None]:
    """Turns what aiokafka raises inside the block into our errors.

    Args:
        settings: name the cluster in the message.
        action: what the block tries, to follow "Cannot", such as ``"read the end offsets"``.
        topic: the topic concerned.
        size: bytes of the message concerned.

    Raises:
        TransportError: the one that fits.
    """
    try:
        yield
    except WorkflowEventsError:
        raise
    except FOREIGN as error:
        raise translate(error, action=action, settings=settings, topic=topic, size=size) from error


async def start_producer(settings: KafkaSettings) -> Producer:
    """A started producer: acks from all in-sync replicas, and idempotent where the broker can. ``stop()`` it.

    Raises:
        TransportError: no broker could be reached within ``connect_timeout``, or none let us in.
        ConfigurationError: a certificate file, or the library for the compression, is missing.
    """

    async def start(watch: Stopwatch) -> Producer:
        try:
            with quiet_refusal():
                return await _started(_make_producer(settings, enable_idempotence=True), settings, watch)
        except _NO_IDEMPOTENCE as error:
            logger.info(
                "%s offers no idempotent producer (%s); publishing with acks=all alone, so a retry inside the client may "
                "store a message twice.",
                settings.bootstrap_servers,
                error,
            )
            return await _started(_make_producer(settings, enable_idempotence=False), settings, watch)

    return await _connected(settings, start)


async def start_unsure_producer(settings: KafkaSettings, **options: Any) -> Producer:
    """A started producer for what may be lost: the leader's confirmation is enough, and nothing is numbered. ``stop()`` it.

    Args:
        **options: aiokafka's own; they win.

    Raises:
        TransportError: no broker could be reached within ``connect_timeout``, or none let us in.
    """

    async def start(watch: Stopwatch) -> Producer:
        return await _started(Producer(settings, **{"acks": 1, **options}), settings, watch)

    return await _connected(settings, start)


def new_consumer(
    settings: KafkaSettings, *topics: str, group_id: str | None = None, **options: Any
) -> AIOKafkaConsumer:
    """A consumer, not yet started, which commits nothing by itself and reads committed messages.

    Args:
        settings: where and how to connect.
        *topics: to subscribe to as a member of the group; none to ``assign`` partitions.
        group_id: the consumer group; None for a reader of replies.
        **options: aiokafka's own; they win.
    """
    return AIOKafkaConsumer(
        *topics, **{**aiokafka_options(settings), **consumer_options(settings), "group_id": group_id, **options}
    )


async def start_consumer(
    settings: KafkaSettings,
    *topics: str,
    group_id: str | None = None,
    listener: ConsumerRebalanceListener | None = None,
    **options: Any,
) -> AIOKafkaConsumer:
    """As :func:`new_consumer`, and connected. ``stop()`` it.

    It has not joined its group yet when this returns: that takes as long as the group's other members take, and happens
    while the consumer is read from.

    Raises:
        TransportError: no broker could be reached within ``connect_timeout``, or none let us in.
        TopicNotFoundError: one of the topics does not exist.
    """

    async def start(watch: Stopwatch) -> AIOKafkaConsumer:
        return await _started(new_consumer(settings, group_id=group_id, **options), settings, watch)

    consumer = await _connected(settings, start)
    try:
        for topic in topics:
            with map_errors(settings, "read", topic=topic):
                await await_topic(consumer._client, topic, min(TOPIC_PATIENCE, settings.connect_timeout))  # noqa: SLF001
        if topics:
            consumer.subscribe(topics, listener=listener)
    except BaseException:
        await stop(consumer)
        raise
    return consumer


def on_heartbeat(consumer: AIOKafkaConsumer, confirmed: Callable[[float], None]) -> None:
    """Have a member of a group told of each heartbeat that its group confirms: when it was *sent*, by ``time.monotonic()``.

    aiokafka keeps this to itself, and goes on as a member, for all that a caller can see, while it is cut off.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    send_heartbeat = coordinator._do_heartbeat  # noqa: SLF001

    async def send() -> bool:
        sent_at = time.monotonic()
        known: bool = await send_heartbeat()
        if known:
            confirmed(sent_at)
        return known

    coordinator._do_heartbeat = send  # noqa: SLF001


async def committed_with_metadata(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """The group's committed offsets, each with its metadata, which aiokafka's own ``committed`` leaves out.

    A partition without a committed offset is not in it. It goes on trying while no broker answers.
    """
    found: dict[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
        list(partitions)
    )
    return found


async def _connected(settings: KafkaSettings, start: Callable[[Stopwatch], Awaitable[_Client]]) -> _Client:
    """What ``start`` makes; it is tried again for ``connect_timeout`` while no broker answers."""
    watch = Stopwatch(settings.connect_timeout)
    reason: BrokerUnavailableError | None = None
    async for attempt in async_transport_retrying(settings.connect_timeout):
        with attempt:
            try:
                with map_errors(settings, "connect"):
                    return await start(watch)
            except BrokerUnavailableError as error:
                # The last attempt may have been cut off by the time-out, which explains nothing.
                if reason is None or not isinstance(error.__cause__, TimeoutError):
                    reason = error
                raise reason from reason.__cause__
    raise AssertionError("unreachable")  # pragma: no cover


async def _started(client: _Client, settings: KafkaSettings, watch: Stopwatch) -> _Client:
    """Starts a client; one that does not start is stopped, and the error (aiokafka's) says why."""
    try:
        try:
            async with asyncio.timeout(watch.remaining()):
                await client.start()
        except KafkaConnectionError as error:
            raise (await _dial(settings, watch.remaining()) or error) from None
    except BaseException as error:
        _close_what_asked(error)
        await stop(client)
        raise
    return client


def _close_what_asked(error: BaseException) -> None:
    """Close the connection over which a client asks for the cluster's metadata when it starts.

    aiokafka does that itself, but not where it is cancelled just then; and only its frame knows the connection.
    """
    while True:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            connection = frame.f_locals.get("bootstrap_conn") if frame.f_code is _BOOTSTRAP else None
            if connection is not None:
                connection.close()
        if error.__cause__ is None:
            return
        error = error.__cause__


async def _dial(settings: KafkaSettings, timeout: float) -> Exception | None:
    """Why no broker could be reached: aiokafka logs each reason, and raises an error that does not say.

    The reason comes from dialling again; None if that works.
    """
    options = aiokafka_options(settings)
    servers = options.pop("bootstrap_servers")
    del options["metadata_max_age_ms"]
    options["request_timeout_ms"] = max(1, round(timeout * 1000))
    first: Exception | None = None
    for host, port, _ in collect_hosts(servers):
        try:
            connection = await create_conn(host, port, **options)
        except (OSError, KafkaError) as error:
            first = first or error
        else:
            connection.close()
            return None
    return first


def _make_producer(settings: KafkaSettings, *, enable_idempotence: bool) -> Producer:
    try:
        return Producer(settings, enable_idempotence=enable_idempotence)
    except KafkaError:
        raise
    except RuntimeError as error:
        raise codec_missing(settings) from error


@contextmanager
def quiet_refusal() -> Iterator[None]:
    """Keeps aiokafka from logging as an error that a broker has no idempotent producers, which is handled here."""
    sender = logging.getLogger("aiokafka.producer.sender")

    def keep(record: logging.LogRecord) -> bool:
        return not record.msg.startswith("Unexpected error during InitProducerIdRequest")

    sender.addFilter(keep)
    try:
        yield
    finally:
        sender.removeFilter(keep)
