"""When have enough answered? The pure part of scatter-gather (Enterprise Integration Patterns).

N requests go out, their answers come in any order. ``all`` waits for each, ``first`` for one success, a number for so many
successes (a quorum). It also ends when no further answer can help: too many have failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workflow_events.errors import GatherTimeoutError, InvalidEventError
from workflow_events.events import ResultStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.records import Reply

__all__ = ["Gathering", "WaitFor", "check_wait_for"]

WaitFor = Literal["all", "first"] | int
"""``"all"``: every answer. ``"first"``: one success. A number: so many successes."""


def check_wait_for(wait_for: object) -> None:
    """Refuse what is no :data:`WaitFor`, before it is known of how many.

    Raises:
        InvalidEventError: it is none.
    """
    named = isinstance(wait_for, str) and wait_for in {"all", "first"}
    counted = isinstance(wait_for, int) and not isinstance(wait_for, bool) and wait_for > 0
    if not named and not counted:
        raise InvalidEventError(f"wait_for is 'all', 'first' or a number above 0, not {wait_for!r}.")


class Gathering:
    """The answers to ``count`` requests, as far as they have come.

    Args:
        count: how many were asked.
        wait_for: see :data:`WaitFor`.

    Raises:
        InvalidEventError: more successes are wanted than were asked for, or fewer than one.
    """

    def __init__(self, count: int, wait_for: WaitFor = "all") -> None:
        check_wait_for(wait_for)
        needed = wait_for if isinstance(wait_for, int) else {"all": 0, "first": 1}[wait_for]
        if needed > count:
            raise InvalidEventError(f"{needed} successes are wanted of {count} requests; ask more or want fewer.")
        self.wait_for = wait_for
        self.replies: list[Reply | None] = [None] * count
        self.answered = 0
        self.succeeded = 0
        self._needed = needed

    def __len__(self) -> int:
        return len(self.replies)

    def add(self, index: int, reply: Reply) -> None:
        """Take the answer to the request at ``index``; a second answer to it is not counted."""
        if self.replies[index] is not None:
            return
        self.replies[index] = reply
        self.answered += 1
        self.succeeded += reply.event.status is ResultStatus.SUCCESS

    @property
    def satisfied(self) -> bool:
        """Whether what was waited for is there."""
        return self.answered == len(self.replies) if self._needed == 0 else self.succeeded >= self._needed

    @property
    def done(self) -> bool:
        """Whether it is, or can no longer be."""
        failed = self.answered - self.succeeded
        return self.satisfied or self.answered == len(self.replies) or len(self.replies) - failed < self._needed

    @property
    def missing(self) -> list[int]:
        """The indexes of the requests that have not been answered."""
        return [index for index, reply in enumerate(self.replies) if reply is None]

    @property
    def events(self) -> list[WorkflowResultEvent | None]:
        """The answers in the order of the requests; None for those that have not come."""
        return [reply.event if reply is not None else None for reply in self.replies]

    def timed_out(
        self,
        requests: Sequence[PendingRequest],
        *,
        read_to: Mapping[int, int],
        cause: str | None,
        store: str | None = None,
    ) -> GatherTimeoutError:
        """The error for a deadline that came before this was done.

        Args:
            requests: all that were asked, in order.
            read_to: how far the reply topic had been read, as ``{partition: next offset}``.
            cause: what kept the reader from reading, if anything did.
            store: why the result store could not be asked, if there is one and it could not.
        """
        missing = [requests[index] for index in self.missing]
        return GatherTimeoutError(missing, self.events, read_to=read_to, cause=cause, store=store)
