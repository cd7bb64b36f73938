"""What a trigger hands to its task: a small JSON event, written in the triggerer and read in the worker.

Airflow stores the event in its database and writes it whole to the log, so a large result goes as a reference to its place
in the log (pattern: Claim Check, Enterprise Integration Patterns). A result goes as JSON text, not as an object: Airflow's
serializer would take certain keys in an object for types to revive.

Pure: the read of a referenced result is passed in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypedDict

from workflow_events import errors
from workflow_events.errors import InvalidEventError, ResultTimeoutError, WorkflowEventsError, WorkflowResultError
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.replies.records import RecordPosition, Reply

__all__ = [
    "Handover",
    "TimedOut",
    "error_named",
    "hand_over_error",
    "hand_over_reply",
    "pending_of",
    "take_over",
    "tell_error",
    "tell_timeout",
    "told_timeout",
]


class TimedOut(TypedDict):
    """What a reader knew at the deadline.

    Attributes:
        read_to: how far it had read, by partition; JSON has texts for keys.
        cause: its last error, if it still held.
    """

    read_to: dict[str, int]
    cause: str | None


class Handover(TypedDict, total=False):
    """The event of a trigger. Always ``pending``, and one of the others.

    Attributes:
        pending: the request, as :meth:`PendingRequest.to_json` gives it.
        result: the result event, JSON text.
        position: where the result event is, if it is too large.
        timed_out: how far was read, and the reader's last error.
        failed: type and message of another error of ours.
    """

    pending: dict[str, Any]
    result: str
    position: dict[str, Any]
    timed_out: TimedOut
    failed: dict[str, str]


def hand_over_reply(pending: PendingRequest, reply: Reply, limit: int) -> Handover:
    """A result, inline up to ``limit`` bytes, else as a reference."""
    if reply.size <= limit:
        return {"pending": pending.to_json(), "result": reply.event.model_dump_json(exclude_none=True)}
    return {"pending": pending.to_json(), "position": reply.position.to_json()}


def hand_over_error(pending: PendingRequest, error: WorkflowEventsError) -> Handover:
    """An error, such that the task raises the same one."""
    if isinstance(error, ResultTimeoutError):
        return {"pending": pending.to_json(), "timed_out": tell_timeout(error.read_to, error.cause)}
    return {"pending": pending.to_json(), "failed": tell_error(error)}


def tell_timeout(read_to: Mapping[int, int], cause: str | None) -> TimedOut:
    """A deadline that came first, for a handover."""
    return {"read_to": {str(partition): offset for partition, offset in read_to.items()}, "cause": cause}


def told_timeout(told: TimedOut) -> tuple[dict[int, int], str | None]:
    """How far was read, and the cause, from a handover."""
    return {int(partition): int(offset) for partition, offset in told["read_to"].items()}, told["cause"]


def tell_error(error: WorkflowEventsError) -> dict[str, str]:
    """An error's type and message, for a handover."""
    return {"type": type(error).__name__, "message": str(error)}


def pending_of(handover: Handover) -> PendingRequest:
    """The request that an event is about.

    Raises:
        InvalidEventError: it is no event of ours.
    """
    if "pending" not in (handover or {}):
        raise InvalidEventError(
            f"The trigger's event is not one of WorkflowResultTrigger's: {type(handover).__name__}."
        )
    return PendingRequest.from_json(handover["pending"])


def take_over(
    handover: Handover, read: Callable[[RecordPosition, PendingRequest], WorkflowResultEvent]
) -> WorkflowResultEvent:
    """The result that an event holds or refers to.

    Args:
        read: fetches a referenced result.

    Raises:
        ResultTimeoutError: there was none by the deadline.
        WorkflowEventsError: the error that the trigger met.
    """
    pending = pending_of(handover)
    if "result" in handover:
        from workflow_events.events import WorkflowResultEvent  # noqa: PLC0415

        return WorkflowResultEvent.model_validate(json.loads(handover["result"]))
    if "position" in handover:
        from workflow_events.replies.records import RecordPosition  # noqa: PLC0415

        return read(RecordPosition(**handover["position"]), pending)
    if "timed_out" in handover:
        read_to, cause = told_timeout(handover["timed_out"])
        raise ResultTimeoutError(pending, read_to=read_to, cause=cause)
    failed = handover.get("failed") or {"type": "", "message": "the trigger's event says nothing"}
    raise error_named(failed["type"])(failed["message"])


def error_named(name: str) -> type[WorkflowEventsError]:
    """An error class of ours by its name; the root where the name means none that takes a message alone."""
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, WorkflowEventsError):
        return WorkflowEventsError
    return WorkflowEventsError if issubclass(kind, ResultTimeoutError | WorkflowResultError) else kind
