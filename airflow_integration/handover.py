"""What a trigger hands to its task: a small JSON event, written in the triggerer and read in the worker.

Airflow stores the event in its database and writes it whole to the log, so a large result goes as a reference to its place
in the log (pattern: Claim Check, Enterprise Integration Patterns). A result goes as JSON text, not as an object: Airflow's
serializer would take certain keys in an object for types to revive.

Pure: the read of a referenced result is passed in.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from workflow_events import errors
from workflow_events.errors import (
    InvalidEventError,
    NotAcceptedError,
    ResultTimeoutError,
    ResultUnavailableError,
    WorkerSilentError,
    WorkflowEventsError,
    WorkflowResultError,
)
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.replies.records import RecordPosition, Reply

__all__ = [
    "Handover",
    "TimedOut",
    "WentUnheard",
    "error_named",
    "hand_over_error",
    "hand_over_reply",
    "no_store",
    "pending_of",
    "take_over",
    "tell_error",
    "tell_timeout",
    "tell_unheard",
    "told_timeout",
    "told_unheard",
]


class TimedOut(TypedDict):
    """What a reader knew at the deadline.

    Attributes:
        read_to: how far it had read, by partition; JSON has texts for keys.
        cause: its last error, if it still held.
        store: why the result store could not be asked, if it could not.
    """

    read_to: dict[str, int]
    cause: str | None
    store: NotRequired[str | None]


class WentUnheard(TypedDict, total=False):
    """A clock that ran out before the deadline: nobody took the request, or its worker went silent.

    Attributes:
        type: the error's name.
        group: of a :class:`NotAcceptedError`, what the brokers told of the workers' consumer group.
        worker, last_event, silent_for: of a :class:`WorkerSilentError`.
        unheard: why this side could not hear, if it could not.
    """

    type: str
    group: dict[str, Any] | None
    worker: str | None
    last_event: str | None
    silent_for: float
    unheard: str | None


class Handover(TypedDict, total=False):
    """The event of a trigger. Always ``pending``, and one of the others.

    Attributes:
        pending: the request, as :meth:`PendingRequest.to_json` gives it.
        result: the result event, JSON text.
        position: where the result event is, if it is too large.
        stored: True where it is too large and the result store has it.
        timed_out: how far was read, and the reader's last error.
        went_unheard: the clock that ran out before.
        failed: type and message of another error of ours.
    """

    pending: dict[str, Any]
    result: str
    position: dict[str, Any]
    stored: bool
    timed_out: TimedOut
    went_unheard: WentUnheard
    failed: dict[str, str]


def hand_over_reply(pending: PendingRequest, reply: Reply, limit: int) -> Handover:
    """A result, inline up to ``limit`` bytes, else as a reference."""
    if reply.size <= limit:
        return {"pending": pending.to_json(), "result": reply.event.model_dump_json(exclude_none=True)}
    if reply.position is None:
        return {"pending": pending.to_json(), "stored": True}
    return {"pending": pending.to_json(), "position": reply.position.to_json()}


def hand_over_error(pending: PendingRequest, error: WorkflowEventsError) -> Handover:
    """An error, such that the task raises the same one."""
    if isinstance(error, NotAcceptedError | WorkerSilentError):
        return {"pending": pending.to_json(), "went_unheard": tell_unheard(error)}
    if isinstance(error, ResultTimeoutError):
        return {"pending": pending.to_json(), "timed_out": tell_timeout(error.read_to, error.cause, error.store)}
    return {"pending": pending.to_json(), "failed": tell_error(error)}


def tell_timeout(read_to: Mapping[int, int], cause: str | None, store: str | None = None) -> TimedOut:
    """A deadline that came first, for a handover."""
    read = {str(partition): offset for partition, offset in read_to.items()}
    return {"read_to": read, "cause": cause, "store": store} if store else {"read_to": read, "cause": cause}


def told_timeout(told: TimedOut) -> dict[str, Any]:
    """What a :class:`ResultTimeoutError` takes besides its request, from a handover."""
    read_to = {int(partition): int(offset) for partition, offset in told["read_to"].items()}
    return {"read_to": read_to, "cause": told["cause"], "store": told.get("store")}


def tell_unheard(error: NotAcceptedError | WorkerSilentError) -> WentUnheard:
    """A clock that ran out, for a handover."""
    if isinstance(error, NotAcceptedError):
        group = None if error.group is None else asdict(error.group)
        return {"type": NotAcceptedError.__name__, "group": group, "unheard": error.unheard}
    return {
        "type": WorkerSilentError.__name__,
        "worker": error.worker,
        "last_event": error.last_event,
        "silent_for": error.silent_for,
        "unheard": error.unheard,
    }


def told_unheard(pending: PendingRequest, told: WentUnheard) -> NotAcceptedError | WorkerSilentError:
    """The error of a clock that ran out, from a handover."""
    if told["type"] == NotAcceptedError.__name__:
        from workflow_events.progress.group_report import GroupReport  # noqa: PLC0415

        group = told.get("group")
        report = None if group is None else GroupReport(**group)
        return NotAcceptedError(pending, group=report, unheard=told.get("unheard"))
    return WorkerSilentError(
        pending,
        worker=told.get("worker"),
        last_event=told.get("last_event"),
        silent_for=told.get("silent_for", 0.0),
        unheard=told.get("unheard"),
    )


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


def no_store(pending: PendingRequest) -> WorkflowResultEvent:
    """Reads nothing from the result store, for who has none.

    Raises:
        ResultUnavailableError: always.
    """
    raise ResultUnavailableError(
        f"The result of request {pending.correlation_id} is in the result store, and nobody is there to read it."
    )


def take_over(
    handover: Handover,
    read: Callable[[RecordPosition, PendingRequest], WorkflowResultEvent],
    read_stored: Callable[[PendingRequest], WorkflowResultEvent] = no_store,
) -> WorkflowResultEvent:
    """The result that an event holds or refers to.

    Args:
        read: fetches a referenced result from the log.
        read_stored: fetches one from the result store.

    Raises:
        ResultTimeoutError: there was none by the deadline.
        NotAcceptedError, WorkerSilentError: a clock of the request ran out before.
        WorkflowEventsError: the error that the trigger met.
    """
    pending = pending_of(handover)
    if "result" in handover:
        from workflow_events.events import WorkflowResultEvent  # noqa: PLC0415

        return WorkflowResultEvent.model_validate(json.loads(handover["result"]))
    if "position" in handover:
        from workflow_events.replies.records import RecordPosition  # noqa: PLC0415

        return read(RecordPosition(**handover["position"]), pending)
    if handover.get("stored"):
        return read_stored(pending)
    if "went_unheard" in handover:
        raise told_unheard(pending, handover["went_unheard"])
    if "timed_out" in handover:
        raise ResultTimeoutError(pending, **told_timeout(handover["timed_out"]))
    failed = handover.get("failed") or {"type": "", "message": "the trigger's event says nothing"}
    raise error_named(failed["type"])(failed["message"])


def error_named(name: str) -> type[WorkflowEventsError]:
    """An error class of ours by its name; the root where the name means none that takes a message alone."""
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, WorkflowEventsError):
        return WorkflowEventsError
    return WorkflowEventsError if issubclass(kind, ResultTimeoutError | WorkflowResultError) else kind
