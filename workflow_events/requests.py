"""How a request is made: the event, its message and the pending request that waits for it. Pure; both clients share it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from workflow_events.errors import InvalidEventError
from workflow_events.events import (
    EventSource,
    EventType,
    WorkflowEvent,
    WorkflowEventPayload,
)
from workflow_events.identifiers import new_event_id_and_text
from workflow_events.pending import PendingRequest, clock_fields, ends_at
from workflow_events.request_forms import request_form
from workflow_events.validation import explain
from workflow_events.wire import OutgoingMessage, about_message, plain_request_message, time_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflow_events.replies.cursor import Cursor
    from workflow_events.settings import KafkaSettings

__all__ = ["PreparedRequest", "ReplyPartition", "RequestOptions", "cancel_message", "prepare_request"]

_IDS = TypeAdapter(UUID)

ReplyPartition = Literal["by_correlation_id"]
"""Ask for the answer in one partition, chosen by the id, so that a waiter reads a P-th of the topic. Only for workers that answer
at the whole return address, as ours do; an answer in another partition is not seen."""


class RequestOptions(TypedDict, total=False):
    """What a request may say beyond its workflow and its data.

    Attributes:
        workflow_run_id: groups requests that belong together; the correlation id where left out.
        correlation_id: a new one where left out. The same id asks for the same work.
        attempt: counts from 1; an automatic retry of the same id raises it.
        thread_id: the LangGraph thread to run on; one of its own where left out.
        graph: the graph to run, where ``workflow_id`` is not its name.
        metadata: environment, and whatever else is to be passed on, such as a user's id.
        accepted_timeout: seconds within which a worker must have taken the request, else waiting for it ends with
            ``NotAcceptedError``; no such clock where left out. Needs workers that report progress.
        heartbeat_timeout: seconds for which the worker that took it may be silent, else waiting for it ends with
            ``WorkerSilentError``; at least two of the worker's heartbeats. No such clock where left out.
        event_type: ``workflow.resume`` for the answer to a run's questions; a request of its own kind where left out.
    """

    workflow_run_id: str | None
    correlation_id: UUID | None
    attempt: int
    thread_id: str | None
    graph: str | None
    metadata: Mapping[str, Any] | None
    accepted_timeout: float | None
    heartbeat_timeout: float | None
    event_type: EventType


class PreparedRequest(NamedTuple):
    """A request that is ready to be published, and what to wait with once it is.

    Attributes:
        key: the request's :func:`~workflow_events.wire.correlation_key`.
    """

    message: OutgoingMessage
    pending: PendingRequest
    key: bytes


def prepare_request(
    settings: KafkaSettings,
    workflow_id: str,
    data: Mapping[str, Any],
    *,
    cursor: Cursor,
    timeout: float,
    source: EventSource | str,
    reply_partition: ReplyPartition | None = None,
    now: datetime | None = None,
    **options: Unpack[RequestOptions],
) -> PreparedRequest:
    """A request for one run of a workflow.

    Args:
        data: the graph's input, JSON values only.
        cursor: the reply cursor, taken before this call.
        timeout: seconds from now to the deadline.
        source: who asks.
        reply_partition: see :data:`ReplyPartition`.
        now: the clock, for tests.
        **options: see :class:`RequestOptions`.

    Raises:
        InvalidEventError: an argument does not fit the event; the message names it.
    """
    reply_topic = settings.workflow_results_topic
    given_id = options.get("correlation_id")
    thread_id = options.get("thread_id")
    begun = now or datetime.now(tz=UTC)
    deadline = ends_at(begun, timeout, "The time-out of a request")
    timestamp, deadline_text = time_texts(begun, deadline)
    try:
        event_id, id_text = _as_id(given_id) if given_id else new_event_id_and_text()
        key = id_text.encode()
        run_id = options.get("workflow_run_id") or id_text
        form = request_form(
            options.get("event_type"),
            source,
            workflow_id,
            options.get("graph"),
            options.get("attempt", 1),
            reply_topic,
        )
        value = form.filled(
            event_id=key,
            timestamp=timestamp,
            deadline=deadline_text,
            workflow_run_id=run_id,
            data=data,
            metadata=options.get("metadata"),
            thread_id=thread_id,
        )
    except (ValidationError, PydanticSerializationError, TypeError) as error:
        raise InvalidEventError(
            f"The request cannot be made: {_explain(error, workflow_id, data, source, options)}."
        ) from error
    partition = None if reply_partition is None else event_id.int % max(1, len(cursor))
    fields = {
        "correlation_id": event_id,
        "workflow_id": form.workflow_id,
        "workflow_run_id": run_id,
        "attempt": form.attempt,
        "reply_topic": reply_topic,
        "reply_partition": partition,
        "reply_cursor": dict(cursor) if partition is None else {partition: cursor.get(partition, 0)},
        "deadline": deadline,
        "thread_id": thread_id,
        "accepted_timeout": None,
        "accepted_by": None,
        "heartbeat_timeout": None,
    }
    accepted_timeout, heartbeat_timeout = options.get("accepted_timeout"), options.get("heartbeat_timeout")
    if accepted_timeout is not None or heartbeat_timeout is not None:
        fields |= clock_fields(begun, accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout)
    message = plain_request_message(
        value,
        topic=settings.workflow_events_topic,
        lasting=form.headers,
        time=timestamp,
        id_key=key,
        thread_id=thread_id,
        reply_partition=partition,
    )
    return PreparedRequest(message, PendingRequest.of_valid(fields), key)


def cancel_message(
    settings: KafkaSettings, pending: PendingRequest, *, source: EventSource | str, reason: str | None = None
) -> OutgoingMessage:
    """The event that asks whichever worker has a request's run to stop it: this attempt and those before it.

    Args:
        reason: for people; it comes back in the ``cancelled`` result's error.
    """
    data: dict[str, Any] = {"correlation_id": str(pending.correlation_id)}
    if reason is not None:
        data["reason"] = reason
    event = WorkflowEvent(
        event_type=EventType.WORKFLOW_CANCEL,
        source=source,
        workflow_id=pending.workflow_id,
        workflow_run_id=pending.workflow_run_id,
        payload=WorkflowEventPayload(data=data),
        attempt=pending.attempt,
        thread_id=pending.thread_id,
    )
    return about_message(event, topic=settings.workflow_control_topic, correlation_id=pending.correlation_id)


def _as_id(given: object) -> tuple[UUID, str]:
    found: UUID = _IDS.validator.validate_python(given)
    return found, str(found)


def _explain(
    error: Exception,
    workflow_id: str,
    data: Mapping[str, Any],
    source: EventSource | str,
    options: RequestOptions,
) -> str:
    """What is wrong with a request, by the event's own field names: where it was found, only a part was looked at."""
    given: dict[str, Any] = {"event_id": options.get("correlation_id"), "metadata": options.get("metadata")}
    try:
        WorkflowEvent(
            event_type=options.get("event_type") or EventType.WORKFLOW_TRIGGERED,
            source=source,
            workflow_id=workflow_id,
            workflow_run_id=options.get("workflow_run_id") or "-",
            payload={"data": data, "graph": options.get("graph")},
            attempt=options.get("attempt", 1),
            thread_id=options.get("thread_id"),
            **{name: value for name, value in given.items() if value},
        )
    except ValidationError as whole:
        return explain(whole)
    for name, value in (("payload.data", data), ("metadata", options.get("metadata"))):
        try:
            to_json(value)
        except PydanticSerializationError as unwritable:
            return f"{name} has no JSON: {unwritable}"
    return str(error)
