"""Whose heart is to beat when: each request's an interval after it was taken up, and then every interval. Pure.

So the beats of requests that came one after another are spread over the interval, and who took many at once tells of so many at a
time and no more.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Heartbeats"]

Heart = TypeVar("Heart")


class Heartbeats(Generic[Heart]):
    """The hearts that beat. Times are seconds of any clock that only runs forward, the same for every call.

    Args:
        interval: seconds between two beats of one heart.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        # Who was put in last is due last, for all have one interval.
        self._due: dict[Heart, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, heart: Heart, now: float) -> None:
        """A heart begins to beat; first in an interval from now."""
        self._due[heart] = now + self.interval

    def end(self, heart: Heart) -> None:
        """A heart beats no more."""
        self._due.pop(heart, None)

    def take(self, now: float, most: int) -> list[Heart]:
        """The hearts that are to beat now, the longest due first, and each again in an interval.

        Args:
            most: no more than so many; the others are still due.
        """
        taken: list[Heart] = []
        for heart, due in self._due.items():
            if due > now or len(taken) >= most:
                break
            taken.append(heart)
        for heart in taken:
            del self._due[heart]
            self._due[heart] = now + self.interval
        return taken

    def wait(self, now: float) -> float:
        """Seconds until one is to beat; no more than an interval, for by then there may be others."""
        due = next(iter(self._due.values()), now + self.interval)
        return min(max(0.0, due - now), self.interval)
