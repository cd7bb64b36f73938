"""Should this wait end early? The pure core: no broker, no event loop, no clock of its own.

Two clocks run beside a request's deadline. *Accepted*: nobody took the request by a time. *Heartbeat*: somebody took it and then
went silent (pattern: a lease that is renewed; Gray and Cheriton, 1989). Neither is a proof that a worker is dead, for none can be
had over a network; so the reply always wins, and silence counts only while this side could hear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["Clocks", "Sign", "Verdict"]

_BEATS = 2.0
"""So many announced intervals are the least that a heartbeat clock waits: one late beat is no death."""


class Verdict(Enum):
    """Which clock has run out."""

    NOT_ACCEPTED = "not accepted"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Sign:
    """What a worker let be heard.

    Attributes:
        what: the event's type, such as ``"workflow.accepted"``.
        worker: the worker process's id, where it gave one.
        node: the node that it told of, where it did.
        interval: seconds between heartbeats, where the worker announced them.
    """

    what: str
    worker: str | None = None
    node: str | None = None
    interval: float | None = None


class Clocks:
    """The clocks of one wait. Times are seconds of any clock that only runs forward, the same for every call.

    Args:
        began: the time now.
        accepted_by: when the accepted clock runs out; None: it does not run.
        heartbeat_timeout: seconds of silence after which the heartbeat clock runs out; None: it does not run.
    """

    def __init__(
        self, began: float, *, accepted_by: float | None = None, heartbeat_timeout: float | None = None
    ) -> None:
        self.accepted_by = accepted_by
        self.heartbeat_timeout = heartbeat_timeout
        self.last: Sign | None = None
        self.worker: str | None = None
        self._heard_at = began
        self._listening_since = began
        self._deaf = False
        self._over = False

    def hear(self, sign: Sign, now: float) -> None:
        """A worker that has the request let itself be heard."""
        self.last = sign
        self.worker = sign.worker or self.worker
        self._heard_at = now
        interval = sign.interval
        if self.heartbeat_timeout is not None and interval is not None and 0 < interval < math.inf:
            self.heartbeat_timeout = max(self.heartbeat_timeout, _BEATS * interval)

    def listening_since(self, when: float) -> None:
        """This side could not hear until ``when``: what a worker said in that time may be lost, or yet to be said again."""
        self._listening_since = max(self._listening_since, when)

    def deafen(self) -> None:
        """This side cannot hear, and will not: both clocks go on, for they then tell of that, and not of a worker."""
        self._deaf = True

    def end(self) -> None:
        """The reply is there, or nobody waits for it any more."""
        self._over = True

    def due(self) -> float | None:
        """When to ask :meth:`judge`; None while no clock runs."""
        if self._over:
            return None
        if self.last is None and self.accepted_by is not None:
            return self.accepted_by
        if self.heartbeat_timeout is not None and (self.last is not None or self._deaf):
            return max(self._heard_at, self._listening_since) + self.heartbeat_timeout
        return None

    def judge(self, now: float) -> Verdict | None:
        """The clock that has run out by now; None where neither has."""
        due = self.due()
        if due is None or now < due:
            return None
        return Verdict.NOT_ACCEPTED if self.last is None and self.accepted_by is not None else Verdict.SILENT

    def silent_for(self, now: float) -> float:
        """Seconds since a worker was heard last, or since the wait began."""
        return max(0.0, now - self._heard_at)
