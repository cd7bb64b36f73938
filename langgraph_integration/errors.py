"""What a graph or a worker says when a request does not end in a success.

Two kinds stand here. :class:`WorkflowFailure` is for graphs to raise. The others are the worker's own words; their
``wire_type`` is what a requester reads in ``error_detail.type``. It has no module path, so that a worker in another
language can say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from workflow_events.errors import WorkflowEventsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DeadlineExceededError",
    "InvalidRequestError",
    "NotResumableError",
    "PoisonedRequestError",
    "RefusalError",
    "ResultTooLargeError",
    "RunCancelledError",
    "RunTimeoutError",
    "SupersededError",
    "UnknownGraphError",
    "UnserializableError",
    "WorkflowFailure",
]


class WorkflowFailure(Exception):  # noqa: N818 - it is an answer, not a fault
    """Raise this in a node to answer "no": the request ends with status ``failure``, not ``error``.

    Args:
        message: a sentence for people; it becomes the result's ``error``.
        result: what to hand over all the same, such as the findings that led to the "no".
        retryable: whether asking again may help. By default it does not: the same question gets the same answer.
    """

    def __init__(self, message: str, *, result: Mapping[str, Any] | None = None, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.result: Mapping[str, Any] = result or {}
        self.retryable = retryable


class RefusalError(WorkflowEventsError):
    """The worker's own reason why a request has no success.

    Attributes:
        wire_type: what stands in ``error_detail.type``.
        retryable: whether asking again may help.
    """

    wire_type: ClassVar[str]
    retryable: ClassVar[bool] = False


class DeadlineExceededError(RefusalError):
    """The request's deadline had passed before its run began; nothing was run."""

    wire_type = "DeadlineExceeded"


class InvalidRequestError(RefusalError):
    """The message is no request that can be read."""

    wire_type = "InvalidRequest"


class PoisonedRequestError(RefusalError):
    """The workers that ran the request died, so often that it is not run again."""

    wire_type = "PoisonedRequest"


class UnknownGraphError(RefusalError):
    """No graph of this worker has the name that the request asks for."""

    wire_type = "UnknownGraph"


class RunTimeoutError(RefusalError):
    """The run took longer than the worker allows. With a checkpointer, another attempt goes on where it stopped."""

    wire_type = "RunTimeout"
    retryable = True


class RunCancelledError(RefusalError):
    """The request was cancelled. With a checkpointer, another attempt goes on where it stopped."""

    wire_type = "Cancelled"


class NotResumableError(RefusalError):
    """The graph asked a question, and has no checkpointer that could hold the run until the answer comes."""

    wire_type = "NotResumable"


class SupersededError(RefusalError):
    """The request's run had not ended when a later request went on with its thread; it cannot be taken up again."""

    wire_type = "Superseded"


class UnserializableError(RefusalError):
    """A value has no plain JSON form.

    Attributes:
        path: where it stands, such as ``result.docs[3].socket``.
    """

    wire_type = "UnserializableResult"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} has no plain JSON form: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.path, self.reason))


class ResultTooLargeError(RefusalError):
    """The result is larger than the client or the broker takes."""

    wire_type = "ResultTooLarge"
