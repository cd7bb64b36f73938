"""Request and reply for asynchronous programs, over one producer and one shared reader."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self, Unpack

from workflow_events.errors import WorkflowEventsError
from workflow_events.events import EventSource
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.requests import PreparedRequest, RequestOptions, cancel_message, prepare_request
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.wire import OutgoingMessage

__all__ = ["AsyncWorkflowClient"]


class AsyncWorkflowClient:
    """Asks workflows to run and waits for their answers.

    ::

        async with AsyncWorkflowClient() as client:
            result = await client.request("summarise", {"text": "..."}, timeout=60)
            print(result.raise_for_status().result)

    One client serves any number of concurrent requests. All clients of one event loop and cluster share one consumer.

    Args:
        settings: the environment's where None.
        source: what the events name as their source.
    """

    def __init__(
        self, settings: KafkaSettings | None = None, *, source: EventSource | str = EventSource.FASTAPI
    ) -> None:
        self.settings = settings or KafkaSettings()
        self.source = source
        self._resources = contextlib.AsyncExitStack()
        self._reader: ReplyReader | None = None
        self._producer: aio.Producer | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            TransportError: no broker can be reached, it refuses, or the result topic does not exist.
        """
        async with contextlib.AsyncExitStack() as stack:
            topic = self.settings.workflow_results_topic
            self._reader = await stack.enter_async_context(ReplyReader.lease(self.settings, topic))
            await self._reader.ready(self.settings.connect_timeout)
            self._producer = await aio.start_producer(self.settings)
            stack.push_async_callback(self._producer.stop)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader = self._producer = None
        await self._resources.aclose()

    async def submit(
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
        prepared = self._prepare(workflow_id, data, timeout, options)
        await self._publish(prepared.message, timeout)
        return prepared.pending

    async def wait(self, pending: PendingRequest) -> WorkflowResultEvent:
        """The result of a request, from this or any other process. Its status may be any: ``raise_for_status()`` judges.

        Raises:
            ResultTimeoutError: none by the request's deadline.
        """
        if pending.reply_topic == self.settings.workflow_results_topic:
            return (await self._opened.wait(pending)).event
        async with ReplyReader.lease(self.settings, pending.reply_topic) as reader:
            return (await reader.wait(pending)).event

    async def request(
        self,
        workflow_id: str,
        data: Mapping[str, Any],
        *,
        timeout: float = 300.0,
        **options: Unpack[RequestOptions],
    ) -> WorkflowResultEvent:
        """:meth:`submit` and :meth:`wait` in one; the waiter is registered before the request is sent.

        Raises:
            InvalidEventError, TransportError, ResultTimeoutError: as those two do.
        """
        prepared = self._prepare(workflow_id, data, timeout, options)
        with self._opened.expect(prepared.pending) as expected:
            await self._publish(prepared.message, timeout)
            return (await expected.reply()).event

    async def cancel(self, pending: PendingRequest) -> None:
        """Ask whichever worker has the run to stop it. Returns when the broker has the wish, not when the run has ended.

        Raises:
            TransportError: the wish could not be published.
        """
        message = cancel_message(self.settings, pending, source=self.source)
        await self._publish(message, self.settings.request_timeout)

    def _prepare(
        self, workflow_id: str, data: Mapping[str, Any], timeout: float, options: RequestOptions
    ) -> PreparedRequest:
        cursor = self._opened.cursor()
        return prepare_request(
            self.settings, workflow_id, data, cursor=cursor, timeout=timeout, source=self.source, **options
        )

    async def _publish(self, message: OutgoingMessage, timeout: float) -> None:
        producer = self._producer
        if producer is None:
            raise _not_open()
        await aio.send(producer, message, timeout)

    @property
    def _opened(self) -> ReplyReader:
        if self._reader is None:
            raise _not_open()
        return self._reader


def _not_open() -> WorkflowEventsError:
    return WorkflowEventsError(
        "The client is not open; use it inside `async with AsyncWorkflowClient(...) as client:`."
    )
