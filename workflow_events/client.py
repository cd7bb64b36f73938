"""Request and reply for synchronous programs, on kafka-python."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, Unpack

from workflow_events.errors import InvalidEventError
from workflow_events.events import EventSource
from workflow_events.identifiers import new_event_id
from workflow_events.replies.gathering import Gathering
from workflow_events.replies.sync_waits import SyncWaits
from workflow_events.requests import (
    PreparedRequest,
    ReplyPartition,
    RequestOptions,
    cancel_message,
    prepare_request,
)
from workflow_events.settings import KafkaSettings
from workflow_events.transport.shared_producer import SharedProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from uuid import UUID

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.gathering import WaitFor
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
        self._producer = SharedProducer(self.settings)
        self._waits = SyncWaits(self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may be used again, and then connects anew."""
        self._producer.close(self.settings.request_timeout)
        self._waits.close()

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
        cursor = self._waits.reader(self.settings.workflow_results_topic).end_cursor(timeout)
        prepared = self._prepare(workflow_id, data, cursor, timeout, options)
        self._publish([prepared.message], timeout)
        return prepared.pending

    def wait(
        self,
        pending: PendingRequest,
        *,
        accepted_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        on_progress: Callable[[WorkflowEvent], None] | None = None,
    ) -> WorkflowResultEvent:
        """The result of a request, from this or any other process. Its status may be any: ``raise_for_status()`` judges.

        Args:
            accepted_timeout: seconds from now, in place of the request's own; see
                :class:`~workflow_events.requests.RequestOptions`.
            heartbeat_timeout: seconds, likewise.
            on_progress: called in this thread with each event of the run, from its begin on: accepted, nodes, the graph's
                own events, heartbeats.

        Raises:
            ResultTimeoutError: none by the request's deadline.
            NotAcceptedError: no worker took the request in time; only with an ``accepted_timeout``.
            WorkerSilentError: the worker that took it went silent; only with a ``heartbeat_timeout``.
            ClaimCheckError: it is kept in a store, and cannot be had from there.
        """
        pending = pending.with_clocks(accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout)
        return self._waits.wait(pending, on_progress)

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

    def gather(
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
            on_progress: called in this thread with how many have answered, and of how many, whenever one has.
            **options: see :class:`~workflow_events.requests.RequestOptions`, for all alike; ``workflow_run_id`` groups
                them and is made up where left out.

        Returns:
            The results in the order of ``data``; None for those that were not waited for.

        Raises:
            InvalidEventError: an argument does not fit the event, or ``wait_for`` the number of requests; nothing was
                asked.
            TransportError: a request could not be published.
            GatherTimeoutError: too few answers by the deadline; it has those that came.
        """
        Gathering(len(data), wait_for)  # raises before anything is asked
        return self.wait_many(
            self.submit_many(workflow_id, data, timeout=timeout, **options),
            wait_for=wait_for,
            return_partial_on_timeout=return_partial_on_timeout,
            on_progress=on_progress,
        )

    def submit_many(
        self,
        workflow_id: str,
        data: Sequence[Mapping[str, Any]],
        *,
        correlation_ids: Sequence[UUID] | None = None,
        timeout: float = 300.0,
        **options: Unpack[RequestOptions],
    ) -> list[PendingRequest]:
        """Publish many requests, one behind the other, and return once all in-sync replicas have all of them.

        They share reply cursor and deadline.

        Args:
            data: one request's input each.
            correlation_ids: one for each, in the same order; new ones where None. The same id asks for the same work.
            timeout: seconds from now to the deadline of all.
            **options: as :meth:`gather` has them.

        Raises:
            InvalidEventError: an argument does not fit the event; nothing was published.
            TransportError: one could not be published; any of the others may have been.
        """
        if options.get("correlation_id") is not None:
            raise InvalidEventError("Each of many requests has an id of its own; leave correlation_id out.")
        ids = [new_event_id() for _ in data] if correlation_ids is None else correlation_ids
        if len(ids) != len(data):
            raise InvalidEventError(f"There are {len(ids)} correlation ids for {len(data)} requests.")
        if not data:
            return []
        options["workflow_run_id"] = options.get("workflow_run_id") or str(new_event_id())
        cursor = self._waits.reader(self.settings.workflow_results_topic).end_cursor(timeout)
        now = datetime.now(tz=UTC)
        prepared: list[PreparedRequest] = []
        for index, (one, correlation_id) in enumerate(zip(data, ids, strict=True)):
            options["correlation_id"] = correlation_id
            try:
                prepared.append(self._prepare(workflow_id, one, cursor, timeout, options, now))
            except InvalidEventError as error:
                raise InvalidEventError(f"{error} (That is request {index} of {len(data)}, counted from 0.)") from error
        self._publish([one.message for one in prepared], timeout)
        return [one.pending for one in prepared]

    def wait_many(
        self,
        requests: Sequence[PendingRequest],
        *,
        wait_for: WaitFor = "all",
        return_partial_on_timeout: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[WorkflowResultEvent | None]:
        """The results of many requests, from this or any other process, in one pass over their reply topic.

        Args:
            requests: with one reply topic for all.
            wait_for: as :meth:`gather` has it.
            return_partial_on_timeout: likewise.
            on_progress: likewise.

        Returns:
            The results in the order of the requests; None for those that were not waited for.

        Raises:
            InvalidEventError: ``wait_for`` does not fit the number of requests, or they have several reply topics.
            GatherTimeoutError: too few answers by the latest deadline; it has those that came.
        """
        gathering = Gathering(len(requests), wait_for)
        if not requests:
            return []
        return self._waits.wait_many(
            requests, gathering, return_partial_on_timeout=return_partial_on_timeout, on_progress=on_progress
        )

    def cancel(self, pending: PendingRequest, reason: str | None = None) -> None:
        """Ask whichever worker has the run to stop it. Returns when the broker has the wish, not when the run has ended.

        Args:
            reason: for the logs and the result of the run.

        Raises:
            TransportError: the wish could not be published.
        """
        message = cancel_message(self.settings, pending, source=self.source, reason=reason)
        self._publish([message], self.settings.request_timeout)

    def _prepare(
        self,
        workflow_id: str,
        data: Mapping[str, Any],
        cursor: Cursor,
        timeout: float,
        options: RequestOptions,
        now: datetime | None = None,
    ) -> PreparedRequest:
        return prepare_request(
            self.settings,
            workflow_id,
            data,
            cursor=cursor,
            timeout=timeout,
            source=self.source,
            reply_partition=self.reply_partition,
            now=now,
            **options,
        )

    def _publish(self, messages: Sequence[OutgoingMessage], timeout: float) -> None:
        self._producer.publish(messages, timeout)
