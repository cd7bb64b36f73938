"""What a worker tells about a run that is under way: the events of the progress topic. Pure."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from langgraph_integration.serialization import to_plain_json
from workflow_events.events import EventSource, EventType, WorkflowEventMetadata
from workflow_events.identifiers import new_event_id
from workflow_events.wire import correlation_key, plain_about_message

if TYPE_CHECKING:
    from langgraph_integration.serialization import Json
    from workflow_events.events import WorkflowEvent
    from workflow_events.wire import OutgoingMessage

__all__ = ["MAX_CUSTOM_BYTES", "Teller", "Told", "new_worker_id", "plain_custom"]

MAX_CUSTOM_BYTES = 16_384
"""The largest piece of a graph's custom stream that goes out, in bytes of JSON. What is larger is told by its size alone."""

_SOURCE = EventSource.LANGGRAPH.value
_METADATA = WorkflowEventMetadata().model_dump()


def new_worker_id() -> str:
    """A name for this worker that no other has: host, process id and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Teller:
    """What all that is told of one request has alike; it is worked out once.

    Args:
        request: the request.
        worker: the id of the worker that tells.
    """

    __slots__ = ("data", "key", "request", "thread")

    def __init__(self, request: WorkflowEvent, worker: str) -> None:
        self.request = request
        self.key = correlation_key(request.event_id)
        self.data = {"correlation_id": self.key.decode(), "worker": worker}
        self.thread = {} if request.thread_id is None else {"thread_id": request.thread_id}

    def say(self, event_type: EventType, data: dict[str, Any], *, essential: bool = False) -> Told:
        """Something to tell now."""
        return Told(self, event_type.value, data, datetime.now(tz=UTC), essential)


class Told(NamedTuple):
    """Something to tell of a request's run, before an event is made of it; what is dropped costs no more than this.

    Attributes:
        essential: waiters' clocks hang on it; what is not is dropped first.
    """

    by: Teller
    event_type: str
    data: dict[str, Any]
    time: datetime
    essential: bool

    def message(self, *, topic: str) -> OutgoingMessage:
        """The event that says so, as it is published.

        Raises:
            ValueError: a text in it has no UTF-8 form.
        """
        by = self.by
        request = by.request
        fields: dict[str, Any] = {
            "event_id": str(new_event_id()),
            "event_type": self.event_type,
            "timestamp": self.time,
            "source": _SOURCE,
            "workflow_id": request.workflow_id,
            "workflow_run_id": request.workflow_run_id,
            "payload": {"data": {**by.data, **self.data}, "graph": None},
            "metadata": _METADATA,
            "attempt": request.attempt,
            **by.thread,
        }
        return plain_about_message(fields, topic=topic, key=by.key)


def plain_custom(value: object) -> Json:
    """A piece of a graph's custom stream as plain JSON.

    In its place comes ``{"left_out": reason}`` where it has no such form, or is too large.
    """
    try:
        plain = to_plain_json(value, name="custom")
        size = len(to_json(plain))
    except Exception as error:  # noqa: BLE001 - a graph's objects may raise anything here, and the run is not to suffer
        return {"left_out": f"it has no plain JSON form ({type(error).__name__})"}
    if size > MAX_CUSTOM_BYTES:
        return {"left_out": f"it has {size} bytes, and {MAX_CUSTOM_BYTES} at most are passed on"}
    return plain
