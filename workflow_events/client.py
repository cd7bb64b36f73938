"""Request and reply for synchronous programs, on kafka-python."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self, Unpack

from workflow_events.events import EventSource
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.requests import ReplyPartition, RequestOptions, cancel_message, prepare_request
from workflow_events.settings import KafkaSettings
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.wire import OutgoingMessage

__all__ = ["WorkflowClient"]


class WorkflowClient:
    """Asks workflows to run and waits for their answers.

    ::

        with WorkflowClient() as client:
            result = client.request("summarise", {"text": "..."}, timeout=60)
            print(result.raise_for_status().result)

    It connects when first used. Threads may share it; they then share one consumer.

    Args:
        settings: the environment's where None.
        source: what the events name as their source.
        reply_partition: ``"by_correlation_id"`` has each answer sent to one partition, chosen by the request's id; only for
            workers that honour a return address's partition, as ours do.
    """

    def __init__(
        self,
        settings: KafkaSettings | None = None,
        *,
        source: EventSource | str = EventSource.FASTAPI,
        reply_partition: ReplyPartition | None = None,
    ) -> None:
        self.settings = settings or KafkaSettings()
        self.source = source
        self.reply_partition = reply_partition
        self._lock = threading.Lock()
        self._producer: blocking.Producer | None = None
        self._readers: dict[tuple[str, int | None], SyncReplyReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may be used again, and then connects anew."""
        with self._lock:
            producer, self._producer = self._producer, None
            readers, self._readers = list(self._readers.values()), {}
        if producer is not None:
            producer.close(timeout=self.settings.request_timeout)
        for reader in readers:
            reader.close()

    def submit(
        self,
        workflow_id: str,
        data: Mapping[str, Any],
        *,
        timeout: float = 300.0,
        **options: Unpack[RequestOptions],
    ) -> PendingRequest:
        """Publish a request and return, once all in-sync replicas have it, what is needed to wait for its result.

        Args:
            workflow_id: names the graph, where ``graph`` does not.
            data: the graph's input, JSON values only.
            timeout: seconds from now to the request's deadline.
            **options: see :class:`~workflow_events.requests.RequestOptions`.

        Raises:
            InvalidEventError: an argument does not fit the event.
            TransportError: the request could not be published; where the error is a ``DeliveryError`` it may have been.
        """
        cursor = self._reader(self.settings.workflow_results_topic).end_cursor()
        prepared = prepare_request(
            self.settings,
            workflow_id,
            data,
            cursor=cursor,
            timeout=timeout,
            source=self.source,
            reply_partition=self.reply_partition,
            **options,
        )
        self._publish(prepared.message, timeout)
        return prepared.pending

    def wait(self, pending: PendingRequest) -> WorkflowResultEvent:
        """The result of a request, from this or any other process. Its status may be any: ``raise_for_status()`` judges.

        Raises:
            ResultTimeoutError: none by the request's deadline.
        """
        return self._reader(pending.reply_topic, pending.reply_partition).wait(pending).event

    def request(
        self,
        workflow_id: str,
        data: Mapping[str, Any],
        *,
        timeout: float = 300.0,
        **options: Unpack[RequestOptions],
    ) -> WorkflowResultEvent:
        """:meth:`submit` and :meth:`wait` in one.

        Raises:
            InvalidEventError, TransportError, ResultTimeoutError: as those two do.
        """
        return self.wait(self.submit(workflow_id, data, timeout=timeout, **options))

    def cancel(self, pending: PendingRequest) -> None:
        """Ask whichever worker has the run to stop it. Returns when the broker has the wish, not when the run has ended.

        Raises:
            TransportError: the wish could not be published.
        """
        message = cancel_message(self.settings, pending, source=self.source)
        self._publish(message, self.settings.request_timeout)

    def _publish(self, message: OutgoingMessage, timeout: float) -> None:
        with self._lock:
            if self._producer is None:
                self._producer = blocking.new_producer(self.settings)
            producer = self._producer
        blocking.send(producer, message, timeout)

    def _reader(self, topic: str, partition: int | None = None) -> SyncReplyReader:
        with self._lock:
            fresh = SyncReplyReader(self.settings, topic, partition=partition)
            return self._readers.setdefault((topic, partition), fresh)
