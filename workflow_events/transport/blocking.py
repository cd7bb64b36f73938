"""kafka-python's clients: made here, and their errors mapped here.

kafka-python connects while a client is constructed, so each ``new_`` function raises within ``connect_timeout`` when no
broker can be reached.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from tenacity import Retrying, retry_if_exception, retry_if_result, stop_before_delay, wait_fixed

from workflow_events.errors import WorkflowEventsError
from workflow_events.outgoing import Outgoing
from workflow_events.transport.dialling import Connection, finish
from workflow_events.transport.faults import check_partition, translate, undelivered, unflushed
from workflow_events.transport.options import (
    codec_missing,
    consumer_options,
    kafka_python_options,
    kafka_python_producer_options,
)
from workflow_events.transport.timing import TOPIC_PATIENCE, TOPIC_POLL, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kafka.producer.future import FutureRecordMetadata, RecordMetadata
    from tenacity import RetryCallState

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = [
    "Producer",
    "check_readable",
    "flush",
    "map_errors",
    "new_admin",
    "new_consumer",
    "new_producer",
    "outage",
    "send",
    "send_all",
]

_Client = TypeVar("_Client")

_MOST_UNDER_WAY: Final = 1000


class Producer(KafkaProducer):  # type: ignore[misc]  # kafka-python has no types
    """A kafka-python producer that knows its settings."""

    settings: KafkaSettings
    connection: Connection
    outgoing: Outgoing | None

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:  # noqa: FBT001, FBT002 - kafka-python's
        """Close it, and give up after ``timeout`` seconds on what is not delivered by then.

        kafka-python raises at that point, before it has closed anything.
        """
        try:
            super().close(timeout=timeout, null_logger=null_logger)
        except KafkaTimeoutError:
            self._sender.force_close()
            self._closed = True


@contextmanager
def map_errors(
    settings: KafkaSettings, action: str, *, topic: str | None = None, size: int | None = None
) -> Iterator[None]:
    """Turns what kafka-python raises inside the block into our errors.

    Args:
        settings: name the cluster in the message.
        action: what the block tries, to follow "Cannot", such as ``"read the end offsets"``.
        topic: the topic concerned.
        size: bytes of the message concerned.

    Raises:
        TransportError: the one that fits.
        ConfigurationError: the cluster does not take a setting.
    """
    try:
        yield
    except WorkflowEventsError:
        raise
    except (KafkaError, OSError) as error:
        raise translate(error, action=action, settings=settings, topic=topic, size=size) from error


def new_producer(settings: KafkaSettings, *, connect_timeout: float | None = None) -> Producer:
    """A connected producer: acks from all in-sync replicas, idempotent, no topics made on the side.

    Args:
        settings: where and how to connect.
        connect_timeout: seconds, for a caller in more of a hurry than the settings are.

    Raises:
        TransportError: no broker could be reached, or none let us in.
        ConfigurationError: a certificate file, or the library for the compression, is missing.
    """
    options = kafka_python_producer_options(settings)
    if connect_timeout is not None:
        options["bootstrap_timeout_ms"] = min(options["bootstrap_timeout_ms"], round(connect_timeout * 1000))
    producer, connection = _construct(Producer, settings, options)
    producer.settings = settings
    producer.connection = connection
    producer.outgoing = Outgoing.of(settings)
    return producer


def new_consumer(settings: KafkaSettings, **options: Any) -> KafkaConsumer:
    """A connected consumer without a group, which commits nothing and reads committed messages; ``assign`` it.

    Args:
        settings: where and how to connect.
        **options: kafka-python's own; they win.

    Raises:
        TransportError: no broker could be reached, or none let us in.
    """
    consumer, connection = _construct(
        KafkaConsumer, settings, {**kafka_python_options(settings), **consumer_options(settings), **options}
    )
    consumer.connection = connection
    return consumer


def outage(settings: KafkaSettings, consumer: KafkaConsumer, topic: str) -> str | None:
    """Why no broker is connected; None while one is. Asks nobody: kafka-python's ``poll`` goes on trying in silence.

    Args:
        consumer: from :func:`new_consumer`.
        topic: what it reads.
    """
    fault = consumer.connection.outage
    return None if fault is None else str(translate(fault, action="read", settings=settings, topic=topic))


def check_readable(settings: KafkaSettings, consumer: KafkaConsumer, topic: str, timeout: float) -> None:
    """Tells a topic that may not be seen from one that is not there; to kafka-python's consumers the two are the same.

    Args:
        consumer: from :func:`new_consumer`.
        timeout: seconds.

    Raises:
        AccessDeniedError: the topic may not be seen.
        TopicNotFoundError: it is not there.
        TransportError: no broker answers.
    """
    with map_errors(settings, "read", topic=topic):
        code = consumer.connection.topic_error(topic, timeout)
        if code == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(topic)
        if code == UnknownTopicOrPartitionError.errno:
            raise UnknownTopicOrPartitionError(topic)


def new_admin(settings: KafkaSettings) -> KafkaAdminClient:
    """A connected admin client.

    Raises:
        TransportError: no broker could be reached, or none let us in.
    """
    admin, _ = _construct(KafkaAdminClient, settings, kafka_python_options(settings))
    return admin


def send(producer: Producer, message: OutgoingMessage, timeout: float) -> RecordMetadata:
    """Publishes a message and waits until all in-sync replicas have it.

    The producer itself tries again while that can help, and idempotence keeps its tries from becoming duplicates; so a
    caller does not send again what this function gave up on with :class:`DeliveryError`.

    Args:
        producer: from :func:`new_producer`.
        message: what to publish.
        timeout: seconds until the confirmation.

    Raises:
        DeliveryError: not confirmed in time; it may still arrive, for at most ``request_timeout``.
        TopicNotFoundError: the topic did not exist for 5 seconds, or for ``timeout`` if that is less.
        TransportError: another one of the tree.
    """
    watch = Stopwatch(timeout)
    return _confirm(producer, message, _begin(producer, message, watch), watch, timeout)


def send_all(producer: Producer, messages: Iterable[OutgoingMessage], timeout: float) -> None:
    """Publishes messages one behind the other and waits until all in-sync replicas have all of them.

    Args:
        producer: from :func:`new_producer`.
        messages: what to publish.
        timeout: seconds until the last confirmation.

    Raises:
        TransportError: as :func:`send` does, for the first that could not be published; any of the others may have been.
    """
    watch = Stopwatch(timeout)
    under_way: deque[tuple[OutgoingMessage, FutureRecordMetadata]] = deque()
    for message in messages:
        under_way.append((message, _begin(producer, message, watch)))
        # A message that waits behind too many others is given up by the client before it was ever sent.
        if len(under_way) >= _MOST_UNDER_WAY:
            _confirm(producer, *under_way.popleft(), watch, timeout)
    while under_way:
        _confirm(producer, *under_way.popleft(), watch, timeout)


def _begin(producer: Producer, message: OutgoingMessage, watch: Stopwatch) -> FutureRecordMetadata:
    """Hand a message to the client, which sends it in its own thread."""
    with map_errors(producer.settings, "publish", topic=message.topic, size=len(message.value)):
        _await_topic(producer, message.topic, min(TOPIC_PATIENCE, watch.remaining()))
        partitions = producer.connection.cluster.partitions_for_topic(message.topic)
        check_partition(producer.settings, message, partitions)
        if producer.outgoing is not None:
            message = producer.outgoing.ready(message)
        return producer.send(
            message.topic,
            value=message.value,
            key=message.key,
            headers=message.headers,
            partition=message.partition,
        )


def _confirm(
    producer: Producer, message: OutgoingMessage, sent: FutureRecordMetadata, watch: Stopwatch, timeout: float
) -> RecordMetadata:
    """Wait for a message's confirmation."""
    with map_errors(producer.settings, "publish", topic=message.topic, size=len(message.value)):
        try:
            return sent.get(timeout=watch.remaining())
        except KafkaTimeoutError as error:
            raise undelivered(producer.settings, message.topic, timeout) from error


def flush(producer: Producer, timeout: float) -> None:
    """Waits until nothing is under way any more.

    Raises:
        DeliveryError: something still was after ``timeout`` seconds.
    """
    try:
        producer.flush(timeout=timeout)
    except KafkaTimeoutError as error:
        raise unflushed(producer.settings, timeout) from error


def _await_topic(producer: Producer, topic: str, patience: float) -> None:
    """Waits until the topic is there. kafka-python's own wait has one time-out for all of a producer's calls."""
    cluster = producer.connection.cluster
    if cluster.partitions_for_topic(topic):
        return
    watch = Stopwatch(patience)
    refusal: KafkaError | None = None

    def known() -> bool:
        nonlocal refusal
        code = producer.connection.topic_error(topic, watch.remaining())
        refusal = for_code(code)(topic) if code else None
        if refusal is not None:
            if refusal.retriable:
                return False
            raise refusal
        finish(cluster.add_topic(topic), watch.remaining())
        if not cluster.partitions_for_topic(topic):
            # An update that was under way when the topic was added has not asked for it, and counts as one that has.
            finish(cluster.request_update(), watch.remaining())
        return bool(cluster.partitions_for_topic(topic))

    def give_up(_: RetryCallState) -> None:
        raise refusal or KafkaTimeoutError(f"no answer within {patience:g} s")

    Retrying(
        retry=retry_if_result(lambda found: not found) | retry_if_exception(_passing),
        stop=stop_before_delay(patience),
        wait=wait_fixed(TOPIC_POLL),
        retry_error_callback=give_up,
    )(known)


def _passing(error: BaseException) -> bool:
    return isinstance(error, OSError) or bool(getattr(error, "retriable", False))


def _construct(
    make: Callable[..., _Client], settings: KafkaSettings, options: dict[str, Any]
) -> tuple[_Client, Connection]:
    connections: list[Connection] = []

    def connect(**configs: Any) -> Connection:
        connections.append(Connection(**configs))
        return connections[-1]

    try:
        with map_errors(settings, "connect"):
            try:
                return make(kafka_client=connect, **options), connections[-1]
            except KafkaTimeoutError as error:
                raise (connections[-1].fault or error) from None
            except RuntimeError as error:
                raise codec_missing(settings) from error
    except BaseException:
        # A client that could not be made leaves its I/O thread running and its sockets open.
        for connection in connections:
            connection.close()
        raise
