"""Which requests are to be stopped, and the stopping of those in hand.

Every worker hears every cancel; the one that has the request stops it. The others keep the cancel in mind, for the request
may come to them later: the control topic and the requests topic are not read in step, and partitions move.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from workflow_events.errors import InvalidEventError
from workflow_events.events import EventType, WorkflowEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cancel", "Cancellation", "Cancellations", "cancel_in"]

_LONGEST_REASON = 1000


class Cancel(NamedTuple):
    """A wish to stop a request.

    Attributes:
        attempt: this attempt and those before it are to stop; a later one is a new wish to run.
        reason: for people.
    """

    correlation_id: UUID
    attempt: int
    reason: str | None = None


def cancel_in(event: WorkflowEvent) -> Cancel | None:
    """The cancel that a control event asks for; None where it is another kind of event.

    Raises:
        InvalidEventError: it names no request.
    """
    if event.event_type != EventType.WORKFLOW_CANCEL:
        return None
    name, reason = event.payload.data.get("correlation_id"), event.payload.data.get("reason")
    try:
        correlation_id = UUID(name) if isinstance(name, str) else None
    except ValueError:
        correlation_id = None
    if correlation_id is None:
        raise InvalidEventError("A cancel names its request in payload.data.correlation_id; this one names none.")
    return Cancel(correlation_id, event.attempt, reason[:_LONGEST_REASON] if isinstance(reason, str) else None)


class Cancellation:
    """The cancelling of one request in hand, which a task handles.

    A cancel interrupts the task as ``asyncio.timeout`` does, by cancelling it; the task asks :meth:`absorbed` whether the
    ``CancelledError`` that it got was this one, or one that is to go on to its owner.

    Attributes:
        asked: the cancel that stops the request; None while there is none.
    """

    __slots__ = ("_before", "_interrupting", "_over", "_task", "asked", "attempt")

    def __init__(self, task: asyncio.Task[object], attempt: int, asked: Cancel | None) -> None:
        self.attempt = attempt
        self.asked = asked
        self._task = task
        self._before = task.cancelling()
        self._interrupting = False
        self._over = False

    def ask(self, cancel: Cancel) -> bool:
        """Stop the request; False if it is over, was stopped before, or is a later attempt."""
        if self._over or self.asked is not None or cancel.attempt < self.attempt:
            return False
        self.asked = cancel
        self._interrupting = True
        self._task.cancel()
        return True

    def end(self) -> None:
        """The request has its result: from now on a cancel does nothing."""
        self._over = True

    def absorbed(self) -> bool:
        """In a handler of ``CancelledError``: whether that was a cancel's alone, and is dealt with now."""
        self._over = True
        if not self._interrupting:
            return False
        self._interrupting = False
        return self._task.uncancel() <= self._before


class Cancellations:
    """What one worker knows of cancels.

    Args:
        most: cancels to keep in mind; the oldest is forgotten first.
    """

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: OrderedDict[UUID, Cancel] = OrderedDict()
        self._in_hand: dict[UUID, list[Cancellation]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, cancel: Cancel) -> int:
        """Keep a cancel in mind, and stop the requests in hand that it means; returns how many."""
        known = self._known.pop(cancel.correlation_id, None)
        self._known[cancel.correlation_id] = cancel if known is None or known.attempt <= cancel.attempt else known
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return sum(one.ask(cancel) for one in tuple(self._in_hand.get(cancel.correlation_id, ())))

    @contextmanager
    def watching(self, request: WorkflowEvent) -> Iterator[Cancellation]:
        """Let cancels of a request interrupt the current task while inside; one that came earlier is already asked."""
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - no caller is outside a task
            raise RuntimeError("a request is handled in a task")
        known = self._known.get(request.event_id)
        asked = known if known is not None and known.attempt >= request.attempt else None
        cancellation = Cancellation(task, request.attempt, asked)
        others = self._in_hand.setdefault(request.event_id, [])
        others.append(cancellation)
        try:
            yield cancellation
        finally:
            cancellation.end()
            others.remove(cancellation)
            if not others:
                del self._in_hand[request.event_id]
