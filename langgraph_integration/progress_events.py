"""What a worker tells about a run that is under way: the events of the progress topic. Pure."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from langgraph_integration.serialization import to_plain_json
from workflow_events.events import EventSource, EventType, WorkflowEvent, WorkflowEventPayload

if TYPE_CHECKING:
    from langgraph_integration.serialization import Json

__all__ = ["MAX_CUSTOM_BYTES", "Told", "new_worker_id", "plain_custom", "told"]

MAX_CUSTOM_BYTES = 16_384
"""The largest piece of a graph's custom stream that goes out, in bytes of JSON. What is larger is told by its size alone."""


def new_worker_id() -> str:
    """A name for this worker that no other has: host, process id and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Told(NamedTuple):
    """Something to tell of a request's run, before an event is made of it; what is dropped costs no more than this.

    Attributes:
        essential: waiters' clocks hang on it; what is not is dropped first.
    """

    request: WorkflowEvent
    event_type: EventType
    data: dict[str, Any]
    time: datetime
    essential: bool

    def event(self) -> WorkflowEvent:
        """The event that says so."""
        request = self.request
        return WorkflowEvent(
            event_type=self.event_type,
            timestamp=self.time,
            source=EventSource.LANGGRAPH,
            workflow_id=request.workflow_id,
            workflow_run_id=request.workflow_run_id,
            payload=WorkflowEventPayload(data={"correlation_id": str(request.event_id), **self.data}),
            attempt=request.attempt,
            thread_id=request.thread_id,
        )


def told(request: WorkflowEvent, event_type: EventType, *, essential: bool = False, **data: Any) -> Told:
    """Something to tell now."""
    return Told(request, event_type, data, datetime.now(tz=UTC), essential)


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
