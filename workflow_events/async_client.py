"""Request and reply for asynchronous programs, over one producer and one shared reader."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self, Unpack

from workflow_events.errors import InvalidEventError, ResultTimeoutError, WorkflowEventsError
from workflow_events.events import EventSource
from workflow_events.identifiers import new_event_id
from workflow_events.payloads import Payloads
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.gathering import Gathering
from workflow_events.replies.scatter import gather_replies
from workflow_events.requests import (
    PreparedRequest,
    ReplyPartition,
    RequestOptions,
    cancel_message,
    prepare_request,
)
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio
from workflow_events.transport.faults import undelivered
from workflow_events.transport.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
    from types import TracebackType

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.expectation import Expectation
    from workflow_events.replies.gathering import WaitFor
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
        self._payloads = Payloads(self.settings)
        self._resources = contextlib.AsyncExitStack()
        self._reader: ReplyReader | None = None
        self._producer: aio.Producer | None = None
        self._outbox: Outbox | None = None

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
            self._outbox = Outbox(self._producer)
            stack.push_async_callback(self._outbox.aclose)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader = self._producer = self._outbox = None
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

    async def wait(
        self,
        pending: PendingRequest,
        *,
        accepted_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
    ) -> WorkflowResultEvent:
        """The result of a request, from this or any other process. Its status may be any: ``raise_for_status()`` judges.

        Args:
            accepted_timeout: seconds from now, in place of the request's own; see
                :class:`~workflow_events.requests.RequestOptions`.
            heartbeat_timeout: seconds, likewise.

        Raises:
            ResultTimeoutError: none by the request's deadline.
            NotAcceptedError: no worker took the request in time; only with an ``accepted_timeout``.
            WorkerSilentError: the worker that took it went silent; only with a ``heartbeat_timeout``.
            ClaimCheckError: it is kept in a store, and cannot be had from there.
        """
        pending = pending.with_clocks(accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout)
        if pending.reply_topic == self.settings.workflow_results_topic:
            event = (await self._opened.wait(pending)).event
        else:
            async with ReplyReader.lease(self.settings, pending.reply_topic) as reader:
                event = (await reader.wait(pending)).event
        return event if event.claim_check is None else await self._payloads.atake(event)

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
        message, pending, key = self._prepare(workflow_id, data, timeout, options)
        with self._opened.expect(pending, key, timeout) as expected:
            if pending.clocked:
                return await self._request_with_clocks(expected, message, timeout)
            # Its reply says that it was stored: only a failure needs to be told besides.
            posted = await self._posting.post(message, expected.fail, timeout)
            # Who waits keeps no message: with its headers it is a dozen objects for the garbage collector to visit.
            del message
            try:
                event = (await expected.reply()).event
            except ResultTimeoutError as error:
                if posted.confirmed:
                    raise
                raise undelivered(self.settings, self.settings.workflow_events_topic, timeout) from error
            finally:
                posted.withdraw()
        return event if event.claim_check is None else await self._payloads.atake(event)

    async def gather(
        self,
        workflow_id: str,
        data: Sequence[Mapping[str, Any]],
        *,
        wait_for: WaitFor = "all",
        timeout: float = 300.0,
        return_partial_on_timeout: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
        **options: Unpack[RequestOptions],
    ) -> list[WorkflowResultEvent | None]:
        """Ask many at once and gather the answers (pattern: Scatter-Gather, Enterprise Integration Patterns).

        Args:
            data: one request's input each.
            wait_for: ``"all"`` answers of whatever status, the ``"first"`` success, or a number of successes. It ends
                sooner when so many have failed that the number cannot be reached.
            timeout: seconds from now to the deadline of all.
            return_partial_on_timeout: what has come by the deadline is returned instead of an error.
            on_progress: called with how many have answered, and of how many, whenever one has.
            **options: see :class:`~workflow_events.requests.RequestOptions`, for all alike; ``workflow_run_id`` groups
                them and is made up where left out.

        Returns:
            The results in the order of ``data``; None for those that were not waited for.

        Raises:
            InvalidEventError: an argument does not fit the event, or ``wait_for`` the number of requests.
            TransportError: a request could not be published.
            GatherTimeoutError: too few answers by the deadline; it has those that came.
        """
        if options.get("correlation_id") is not None:
            raise InvalidEventError("gather() makes an id for each request; leave correlation_id out.")
        Gathering(len(data), wait_for)  # refuses a number that cannot be reached, before anything is asked
        options.setdefault("workflow_run_id", str(new_event_id()))
        prepared = [self._prepare(workflow_id, one, timeout, options) for one in data]
        with contextlib.ExitStack() as stack:
            expected = [stack.enter_context(self._opened.expect(one.pending, one.key)) for one in prepared]
            for waiting, one in zip(expected, prepared, strict=True):
                posted = await self._posting.post(one.message, waiting.fail, timeout)
                stack.callback(posted.withdraw)
            # As in request(): who waits keeps no message.
            prepared.clear()
            async with contextlib.AsyncExitStack() as clocks:
                if expected and expected[0].pending.clocked:
                    from workflow_events.progress.ending_early import clocks_running  # noqa: PLC0415 - few have clocks

                    await clocks.enter_async_context(clocks_running(self._opened, expected))
                replies = await gather_replies(
                    expected, wait_for, return_partial_on_timeout=return_partial_on_timeout, on_progress=on_progress
                )
        return await self._payloads.atake_each([reply.event if reply is not None else None for reply in replies])

    async def progress(self, pending: PendingRequest) -> AsyncGenerator[WorkflowEvent]:
        """What is heard of a request's run: accepted, nodes, the graph's own events, heartbeats.

        ::

            async for event in client.progress(pending):
                print(event.event_type, event.payload.data)

        From the request's begin on, in order; it ends when the result is there (:meth:`wait` gives it) or the deadline has
        come.

        Raises:
            TransportError: the progress topic is missing or may not be read.
        """
        from workflow_events.progress.following import follow  # noqa: PLC0415 - few follow

        async with self._reader_of(pending) as reader:
            async for event in follow(reader, pending):
                yield event

    async def cancel(self, pending: PendingRequest, reason: str | None = None) -> None:
        """Ask whichever worker has the run to stop it. Returns when the broker has the wish, not when the run has ended.

        Args:
            reason: for the logs and the result of the run.

        Raises:
            TransportError: the wish could not be published.
        """
        message = cancel_message(self.settings, pending, source=self.source, reason=reason)
        await self._publish(message, self.settings.request_timeout)

    def _prepare(
        self, workflow_id: str, data: Mapping[str, Any], timeout: float, options: RequestOptions
    ) -> PreparedRequest:
        cursor = self._opened.cursor()
        return prepare_request(
            self.settings,
            workflow_id,
            data,
            cursor=cursor,
            timeout=timeout,
            source=self.source,
            reply_partition=self.reply_partition,
            **options,
        )

    async def _request_with_clocks(
        self, expected: Expectation, message: OutgoingMessage, timeout: float
    ) -> WorkflowResultEvent:
        from workflow_events.progress.ending_early import clocks_running  # noqa: PLC0415 - few have clocks

        async with clocks_running(self._opened, [expected], published=False):
            began = asyncio.get_running_loop().time()
            posted = await self._posting.post(message, expected.fail, timeout)
            try:
                event = (await expected.reply()).event
            except ResultTimeoutError as error:
                if posted.confirmed:
                    raise
                waited = asyncio.get_running_loop().time() - began  # a clock may have ended it long before the deadline
                raise undelivered(self.settings, self.settings.workflow_events_topic, waited) from error
            finally:
                posted.withdraw()
        return event if event.claim_check is None else await self._payloads.atake(event)

    @contextlib.asynccontextmanager
    async def _reader_of(self, pending: PendingRequest) -> AsyncIterator[ReplyReader]:
        if pending.reply_topic == self.settings.workflow_results_topic:
            yield self._opened
            return
        async with ReplyReader.lease(self.settings, pending.reply_topic) as reader:
            yield reader

    async def _publish(self, message: OutgoingMessage, timeout: float) -> None:
        await aio.send(self._started, message, timeout)

    @property
    def _started(self) -> aio.Producer:
        if self._producer is None:
            raise _not_open()
        return self._producer

    @property
    def _posting(self) -> Outbox:
        if self._outbox is None:
            raise _not_open()
        return self._outbox

    @property
    def _opened(self) -> ReplyReader:
        if self._reader is None:
            raise _not_open()
        return self._reader


def _not_open() -> WorkflowEventsError:
    return WorkflowEventsError(
        "The client is not open; use it inside `async with AsyncWorkflowClient(...) as client:`."
    )
