"""Messages that are posted in one turn of the event loop travel together, a batch for each partition.

aiokafka's ``send`` makes a future, two coroutines and a look at the metadata for every message. Where a hundred are asked for at
once that is a good part of what asking costs; here they are had once for each batch. The batches are aiokafka's own
(``create_batch``, ``send_batch``), sent in the order in which they were posted. While one waits for the brokers, what is posted
in the meantime fills the next (compare TCP's Nagle, RFC 896).
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError

from workflow_events.transport.aio_sending import FOREIGN, made_ready, not_confirmed
from workflow_events.transport.faults import check_partition
from workflow_events.transport.partitioning import partition_of
from workflow_events.transport.timing import TOPIC_PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka.producer.message_accumulator import BatchBuilder

    from workflow_events.errors import WorkflowEventsError
    from workflow_events.transport.aio import Producer
    from workflow_events.wire import OutgoingMessage

__all__ = ["Outbox", "Posted"]

_RECORD_OVERHEAD = 36
"""Bytes of a record beside key, value and headers, generously; what is larger than the broker takes is refused there."""


class Posted:
    """A message on its way.

    Attributes:
        confirmed: all in-sync replicas have it.
    """

    __slots__ = ("confirmed", "fail", "message", "size")

    def __init__(self, message: OutgoingMessage, fail: Callable[[WorkflowEventsError], None]) -> None:
        self.message: OutgoingMessage | None = message
        self.size = len(message.value)
        self.confirmed = False
        self.fail = fail

    def withdraw(self) -> None:
        """Do not send it, where it has not been handed to the producer yet."""
        self.message = None


class _Lane:
    """What waits for one partition."""

    __slots__ = ("partition", "queue", "task", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.queue: deque[Posted] = deque()
        self.task: asyncio.Task[None] | None = None


class Outbox:
    """What one producer has yet to send.

    Args:
        producer: started; it is not stopped here.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._settings = producer.settings
        self._lanes: dict[tuple[str, int], _Lane] = {}

    async def post(
        self, message: OutgoingMessage, fail: Callable[[WorkflowEventsError], None], timeout: float
    ) -> Posted:
        """Take a message; it is sent after this turn of the loop.

        Args:
            message: with a key or a partition.
            fail: called once if the brokers refuse it or do not confirm it within ``request_timeout``. Must not raise.
            timeout: seconds that the topic is given to exist, 5 at most.

        Raises:
            TopicNotFoundError: the topic does not exist, or has not the partition.
            MessageTooLargeError: it is larger than ``max_message_bytes``.
            TransportError: the topic could not be looked up; or the store of large payloads does not answer.
        """
        topic = message.topic
        partitions = self._producer.client.cluster.partitions_for_topic(topic) or await self._look_up(topic, timeout)
        partition = message.partition
        if partition is None:
            partition = partition_of(message.key or b"", len(partitions))
        else:
            check_partition(self._settings, message, partitions)
        if self._producer.outgoing is not None:
            message = await made_ready(self._producer, message, timeout)
        if len(message.value) > self._settings.max_message_bytes // 2:
            self._check_size(message)
        posted = Posted(message, fail)
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(topic, partition)
        lane.queue.append(posted)
        if lane.task is None:
            lane.task = asyncio.create_task(self._carry(lane), name=f"outbox:{topic}:{partition}")
        return posted

    def __len__(self) -> int:
        """How many messages the producer has not been handed yet."""
        return sum(len(lane.queue) for lane in self._lanes.values())

    async def flush(self) -> None:
        """Wait until the producer has been handed what was posted; it delivers that when it stops, if not before."""
        while tasks := [lane.task for lane in self._lanes.values() if lane.task is not None]:
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """Send nothing more. What the producer has already, it delivers when it stops."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _look_up(self, topic: str, timeout: float) -> set[int]:
        try:
            await self._producer.look_ups.wait(topic, min(TOPIC_PATIENCE, timeout))
        except FOREIGN as error:
            raise not_confirmed(self._settings, topic, 0, error, timeout) from error
        partitions: set[int] = self._producer.client.cluster.partitions_for_topic(topic)
        return partitions

    def _check_size(self, message: OutgoingMessage) -> None:
        size = _RECORD_OVERHEAD + len(message.value) + len(message.key or b"")
        size += sum(len(name) + len(value) for name, value in message.headers)
        if size > self._settings.max_message_bytes:
            error = MessageSizeTooLargeError(f"a message of {size} bytes")
            raise not_confirmed(self._settings, message.topic, size, error, 0)

    async def _carry(self, lane: _Lane) -> None:
        """Send what waits in a lane, batch by batch, until it is empty."""
        try:
            while lane.queue:
                batch, aboard = self._fill(lane.queue)
                if not aboard:
                    continue
                waiting = len(lane.queue)
                try:
                    self._check_partition(lane)
                    # Waits until the batch before it has been sent off, for request_timeout at most.
                    sent = await self._producer.send_batch(batch, lane.topic, partition=lane.partition)
                except FOREIGN as error:
                    # Who was in the queue all the while has waited as long.
                    aboard += [lane.queue.popleft() for _ in range(waiting)]
                    self._lose(lane.topic, aboard, error)
                else:
                    sent.add_done_callback(partial(self._arrived, lane.topic, aboard))
        finally:
            lane.task = None

    def _check_partition(self, lane: _Lane) -> None:
        # aiokafka asserts it. A topic may have been made anew, with fewer partitions, while its messages waited.
        if lane.partition not in (self._producer.client.cluster.partitions_for_topic(lane.topic) or ()):
            raise UnknownTopicOrPartitionError(lane.topic)

    def _fill(self, queue: deque[Posted]) -> tuple[BatchBuilder, list[Posted]]:
        batch = self._producer.create_batch()
        append = batch.append
        aboard: list[Posted] = []
        while queue:
            posted = queue[0]
            message = posted.message
            if message is not None:
                if append(key=message.key, value=message.value, timestamp=None, headers=message.headers) is None:
                    break
                aboard.append(posted)
                # Whoever waits for the answer keeps the ``Posted``. A message with its headers is a dozen objects, for the
                # garbage collector to visit.
                posted.message = None
            queue.popleft()
        return batch, aboard

    def _arrived(self, topic: str, aboard: list[Posted], sent: asyncio.Future[Any]) -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            for posted in aboard:
                posted.confirmed = True
        elif isinstance(error, Exception):
            self._lose(topic, aboard, error)

    def _lose(self, topic: str, aboard: list[Posted], error: Exception) -> None:
        for posted in aboard:
            posted.fail(not_confirmed(self._settings, topic, posted.size, error, self._settings.request_timeout))
