"""One who waits, in an event loop: from its registration to its outcome, which is a reply or an error, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from workflow_events.errors import ResultTimeoutError, WorkflowEventsError
from workflow_events.replies.correlator import Waiter
from workflow_events.replies.records import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.deadlines import Deadlines

__all__ = ["Expectation", "Reading"]

_LATE_LOOK_SECONDS = 10.0
"""Who begins to wait after the deadline is given this long at most to read what is already there."""


class Reading(Protocol):
    """What an expectation needs of its reader."""

    deadlines: Deadlines

    def admit(self, expectation: Expectation) -> None:
        """Register it."""

    def dismiss(self, expectation: Expectation) -> None:
        """Undo the registration."""

    def cursor(self) -> dict[int, int]:
        """How far was read."""

    def trouble(self) -> str | None:
        """What keeps the reader from reading, if anything does."""

    def store_trouble(self) -> str | None:
        """Why the result store could not be asked, if it could not."""


class Expectation(Waiter):
    """One waiter of a reader: registered while its ``with`` block lasts.

    Args:
        key: the request's :func:`~workflow_events.wire.correlation_key`, where the caller has it already.
        seconds: until the request's deadline, where the caller knows it already.
    """

    __slots__ = (
        "_future",
        "_has_read",
        "_is_asking",
        "_late",
        "_listener",
        "_outcome",
        "_reader",
        "_slot",
        "_until",
    )

    def __init__(
        self, reader: Reading, pending: PendingRequest, key: bytes | None = None, seconds: float | None = None
    ) -> None:
        super().__init__(pending, key)
        self._reader = reader
        self._outcome: Reply | WorkflowEventsError | None = None
        self._listener: Callable[[], None] | None = None
        self._future: asyncio.Future[None] | None = None
        self._slot = 0
        self._has_read = False
        self._is_asking = False
        if seconds is None:
            seconds = pending.remaining()
        self._late = seconds <= 0
        self._until = reader.deadlines.now() + (_LATE_LOOK_SECONDS if self._late else seconds)

    def __enter__(self) -> Self:
        self._reader.admit(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.dismiss(self)

    async def reply(self) -> Reply:
        """The result, when it comes.

        Raises:
            ResultTimeoutError: none by the deadline.
            TransportError: the reader could not begin, for a reason that waiting does not mend.
        """
        if self._outcome is None:
            self._future = asyncio.get_running_loop().create_future()
            self._slot = self._reader.deadlines.add(self, self._until)
            try:
                await self._future
            finally:
                self._reader.deadlines.remove(self, self._slot)
        return self.outcome()

    def outcome(self) -> Reply:
        """The result that has come.

        Raises:
            WorkflowEventsError: as :meth:`reply` does.
        """
        outcome = self._outcome
        if isinstance(outcome, Reply):
            return outcome
        if outcome is None:
            raise AssertionError("asked before there was an outcome")
        raise outcome

    @property
    def settled(self) -> bool:
        """Whether there is an outcome."""
        return self._outcome is not None

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called once there is an outcome, the deadline's included, unless :meth:`ignore` comes before.

        For who waits for many: a call is cheaper than a task. It is called from within the reader, and must not raise.
        """
        if self._outcome is not None:
            listener()
            return
        self._listener = listener
        self._slot = self._reader.deadlines.add(self, self._until)

    def ignore(self) -> None:
        """Undo :meth:`listen`."""
        if self._listener is not None:
            self._listener = None
            self._reader.deadlines.remove(self, self._slot)

    def deliver(self, reply: Reply) -> None:
        """Called by the correlator."""
        self._settle(reply)

    def fail(self, error: WorkflowEventsError) -> None:
        """Called when the reader has ended, or the request could not be published."""
        self._settle(error)

    def past_is_read(self) -> None:
        """Called when everything that was in the log at the start of the wait has been looked at."""
        self._has_read = True
        self._end_if_all_is_seen()

    def store_is_asked(self) -> None:
        """Called when the result store is about to be asked too."""
        self._is_asking = True

    def store_was_asked(self) -> None:
        """Called when it had no result, or could not be asked."""
        self._is_asking = False
        self._end_if_all_is_seen()

    def _end_if_all_is_seen(self) -> None:
        if self._late and self._has_read and not self._is_asking:
            self.expire()

    def expire(self) -> None:
        """Called at the deadline."""
        if self._outcome is None:
            reader = self._reader
            self._settle(
                ResultTimeoutError(
                    self.pending, read_to=reader.cursor(), cause=reader.trouble(), store=reader.store_trouble()
                )
            )

    def _settle(self, outcome: Reply | WorkflowEventsError) -> None:
        if self._outcome is not None:
            return
        self._outcome = outcome
        if self._listener is not None:
            self._listener()
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
