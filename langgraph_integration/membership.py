"""Whether the group still counts on this worker, as far as the worker itself can know.

A worker that is cut off from the broker hears nothing of it: after the session time-out the group gives its partitions to
another, which runs its requests, while the worker itself goes on with them. So membership is held as a lease (Gray and Cheriton,
"Leases", 1989): it lasts for four fifths of a session from the moment the worker last *sent* something that the group then
confirmed. The broker counts a whole session from when it received that, so the last fifth is there to stop the runs in
before anybody else is given the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Membership"]

_SHARE = 0.8


class Membership:
    """The lease.

    Args:
        session_timeout: seconds of silence after which the group takes a member for dead.
        now: the clock, in seconds.
    """

    def __init__(self, session_timeout: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.session_timeout = session_timeout
        self._now = now
        self._ends = now()

    def confirm(self, sent_at: float) -> None:
        """The group has confirmed what was sent at that time of the clock: a heartbeat, or a commit."""
        self._ends = max(self._ends, sent_at + _SHARE * self.session_timeout)

    def begin(self) -> None:
        """The group has just given us partitions."""
        self.confirm(self._now())

    @property
    def remaining(self) -> float:
        """Seconds until the lease ends; nought or less once it has."""
        return self._ends - self._now()

    @property
    def holds(self) -> bool:
        """Whether nobody else can have been given this worker's partitions yet."""
        return self.remaining > 0
