"""What the ends of the clock drill's waits come to: each said what it had to say, in the time that it has. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.chaos.cancel_drill import percentile
from tests.chaos.clock_waiter import End, Way

__all__ = ["ACCEPTED", "ALLOWED", "BEAT", "COUNTED_FROM", "HEARTBEAT", "Failing", "Span", "Waits", "judged"]

ACCEPTED, HEARTBEAT, BEAT = 5.0, 6.0, 1.0
"""Seconds: the two clocks of the requests, and between two heartbeats of the worker."""


class Failing(StrEnum):
    """What keeps the answer from coming."""

    NO_WORKER = "no worker"
    FROZEN = "worker frozen"
    NO_BROKER = "broker gone"


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds, both ends counted in."""

    least: float
    most: float

    def holds(self, seconds: float) -> bool:
        """Whether so many lie in it; those that are not known do not."""
        return self.least <= seconds <= self.most


ALLOWED = {
    Failing.NO_WORKER: Span(ACCEPTED, ACCEPTED + 1.0),
    # The last heartbeat may have come a whole interval before the worker stood still.
    Failing.FROZEN: Span(HEARTBEAT - BEAT, HEARTBEAT + 1.5),
    Failing.NO_BROKER: Span(0.0, 1.0),
}
"""When a wait may end, in seconds."""
COUNTED_FROM = {Failing.NO_WORKER: "the call", Failing.FROZEN: "the freeze", Failing.NO_BROKER: "the deadline"}
"""From when those seconds count."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What came of the waits of one way.

    Attributes:
        asked: how many there were.
        told: of them, those that ended with the error that says what was the matter.
        seconds: when each that ended did so; see :data:`ALLOWED`.
    """

    failing: Failing
    way: Way
    asked: int
    told: int
    seconds: tuple[float, ...]

    @property
    def holds(self) -> bool:
        """Whether each ended as it should, and when it should."""
        return self.asked == self.told == len(self.seconds) and all(map(ALLOWED[self.failing].holds, self.seconds))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        allowed = ALLOWED[self.failing]
        return {
            "failing": self.failing,
            "way": self.way,
            "asked": self.asked,
            "told": self.told,
            "min": min(self.seconds, default=math.nan),
            "p50": percentile(self.seconds, 0.5),
            "max": max(self.seconds, default=math.nan),
            "least": allowed.least,
            "most": allowed.most,
        }


def judged(
    failing: Failing, way: Way, asked: range, ends: Mapping[int, End], *, worker: int = 0, befell: Mapping[int, float]
) -> Waits:
    """What the ends come to.

    Args:
        asked: the numbers of the requests.
        worker: the process id of the worker that froze.
        befell: when the worker froze or the broker went, in seconds since 1970, by request. A wait that ended, or whose
            deadline had come, before it has nothing to say of it, and counts as one that did not tell.
    """
    found = [ends[n] for n in asked if n in ends]
    told = sum(_tells(failing, one, worker, befell.get(one.n, math.inf)) for one in found)
    seconds = tuple(one.ended - _counted_from(failing, one, befell.get(one.n, math.nan)) for one in found)
    return Waits(failing, way, len(asked), told, seconds)


def _tells(failing: Failing, end: End, worker: int, befell: float) -> bool:
    match failing:
        case Failing.NO_WORKER:
            return end.error == "NotAcceptedError" and "There is no consumer group" in end.says
        case Failing.FROZEN:
            return end.error == "WorkerSilentError" and f"-{worker}-" in end.says and befell < end.ended
        case Failing.NO_BROKER:
            told = end.error == "ResultTimeoutError" and "can reach the broker" in end.says
            return told and end.deadline is not None and befell < end.deadline


def _counted_from(failing: Failing, end: End, befell: float) -> float:
    match failing:
        case Failing.NO_WORKER:
            return end.called
        case Failing.FROZEN:
            return befell
        case Failing.NO_BROKER:
            return math.nan if end.deadline is None else end.deadline
