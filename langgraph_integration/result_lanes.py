"""Which results share a transaction. Pure.

All that wait do, for a transaction costs the same with one result as with a hundred. But it stands or falls as a whole, and is as
slow as the slowest partition in it. So each topic has a lane: one whose topic has let us down, or has not been tried yet, goes by
itself, and where it is refused, one result at a time, until it is known whose fault that was. One that keeps failing while others
do not is *sick*, and its results are given up to be published without a transaction: each attempt would hold up all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

__all__ = ["MOST_AT_ONCE", "Lanes"]

T = TypeVar("T")

MOST_AT_ONCE: Final = 500
"""Results in a transaction."""
_FAILURES_OF_THE_SICK: Final = 3
_SICK_SECONDS: Final = 60.0
"""Until a sick topic is tried again."""


@dataclass(slots=True)
class _Lane(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    sound: bool = False
    failures: int = 0
    not_before: float = 0.0
    one_by_one: int = 0
    others_at_first: int = 0  # transactions that had been committed when it failed first


class Lanes(Generic[T]):
    """The results that wait, by topic.

    Args:
        backoff: seconds to leave a topic alone after so many failures in a row.
    """

    def __init__(self, backoff: Callable[[int], float]) -> None:
        self._backoff = backoff
        self._lanes: dict[str, _Lane[T]] = {}
        self._turn_of_the_unsound = True
        self._committed = 0

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def add(self, topic: str, result: T) -> None:
        """Have a result wait."""
        self._lanes.setdefault(topic, _Lane()).waiting.append(result)

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Drop the results that are not wanted any more."""
        for lane in self._lanes.values():
            if not all(map(wanted, lane.waiting)):
                lane.waiting = deque(filter(wanted, lane.waiting))

    def clear(self) -> list[T]:
        """Drop all, and return them."""
        left = [result for lane in self._lanes.values() for result in lane.waiting]
        self._lanes.clear()
        return left

    def delay(self, now: float) -> float | None:
        """Seconds until there is something to do; None while nothing waits."""
        return min(
            (0.0 if lane.sound else max(0.0, lane.not_before - now) for lane in self._lanes.values() if lane.waiting),
            default=None,
        )

    def take(self, now: float) -> dict[str, list[T]]:
        """What goes into the next transaction, by topic; empty where nothing may go yet."""
        shared = {topic: lane for topic, lane in self._lanes.items() if lane.sound and lane.waiting}
        alone = [
            topic for topic, lane in self._lanes.items() if lane.waiting and not lane.sound and lane.not_before <= now
        ]
        if alone and (self._turn_of_the_unsound or not shared):
            self._turn_of_the_unsound = False
            topic = min(alone, key=lambda name: self._lanes[name].not_before)
            lane = self._lanes[topic]
            return {topic: _pop(lane, 1 if lane.one_by_one else MOST_AT_ONCE)}
        self._turn_of_the_unsound = True
        taken: dict[str, list[T]] = {}
        room = MOST_AT_ONCE
        for topic, lane in shared.items():
            if room:
                taken[topic] = _pop(lane, room)
                room -= len(taken[topic])
        return taken

    def succeeded(self, taken: Iterable[str]) -> None:
        """The transaction is committed."""
        self._committed += 1
        for topic in taken:
            lane = self._lanes[topic]
            lane.failures = 0
            lane.one_by_one = max(0, lane.one_by_one - 1)
            lane.sound = not lane.one_by_one

    def is_sick(self, topic: str, now: float) -> bool:
        """Whether a topic's results are better published by themselves for now."""
        lane = self._lanes.get(topic)
        return lane is not None and now < lane.not_before and self._ails(lane)

    def failed(self, taken: dict[str, list[T]], now: float) -> list[T]:
        """Nothing of the transaction is stored, and it may be tried again; returned is what is given up."""
        given_up: list[T] = []
        for topic, results in taken.items():
            lane = self._lanes[topic]
            lane.waiting.extendleft(reversed(results))
            lane.sound = False
            if not lane.failures:
                lane.others_at_first = self._committed
            lane.failures += 1
            lane.not_before = now + self._backoff(lane.failures)
            if self._ails(lane):
                lane.not_before = now + _SICK_SECONDS
                given_up += _pop(lane, len(lane.waiting))
        return given_up

    def refused(self, taken: dict[str, list[T]]) -> list[T]:
        """Nothing of the transaction is stored, for the fault of one of its results; returned if it is known which."""
        if sum(map(len, taken.values())) == 1:
            ((topic, results),) = taken.items()
            self._lanes[topic].one_by_one = max(0, self._lanes[topic].one_by_one - 1)
            return results
        for topic, results in taken.items():
            lane = self._lanes[topic]
            lane.waiting.extendleft(reversed(results))
            lane.sound = False
            lane.one_by_one = max(lane.one_by_one, len(results))
        return []

    def _ails(self, lane: _Lane[T]) -> bool:
        return lane.failures >= _FAILURES_OF_THE_SICK and self._committed > lane.others_at_first


def _pop(lane: _Lane[T], most: int) -> list[T]:
    return [lane.waiting.popleft() for _ in range(min(most, len(lane.waiting)))]
