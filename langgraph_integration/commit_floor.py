"""How far one partition may be committed while its requests end in any order."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

__all__ = ["CommitFloor"]


class CommitFloor:
    """The offsets of one partition that were taken, and the floor below which all have ended.

    The floor is the offset to commit: the lowest that is taken and not ended, or the one after the last taken where all
    have ended. A request above the floor that has ended is delivered again after a crash; whoever knows of it by then passes
    it over. (Pattern: the low-water mark of a sliding window; compare the out-of-order commits of Spring Kafka, and of
    Confluent's Parallel Consumer, which keeps beside the mark what has ended above it.)
    """

    __slots__ = ("_ended", "_handed_back", "_next", "_open", "_passed_over", "_passed_over_above", "_taken")

    def __init__(self) -> None:
        self._open: list[int] = []  # a heap; what ended is removed when it comes to the top
        self._ended: set[int] = set()
        self._taken: set[int] = set()
        self._handed_back: set[int] = set()
        self._passed_over: set[int] = set()
        self._passed_over_above = 0
        self._next: int | None = None

    @property
    def floor(self) -> int | None:
        """The offset to commit; None while nothing was taken."""
        return self._open[0] if self._open else self._next

    @property
    def unfinished(self) -> int:
        """How many offsets are taken and have not ended."""
        return len(self._open) - len(self._ended)

    @property
    def held_back(self) -> int:
        """How many offsets have ended and cannot be committed yet, because a lower one has not."""
        return len(self._ended)

    @property
    def lowest_handed_back(self) -> int | None:
        """The lowest offset that was handed back and not taken again; None if there is none."""
        return min(self._handed_back, default=None)

    @property
    def ended(self) -> Collection[int]:
        """The offsets that have ended and that the floor has not passed, those that are to be passed over among them."""
        return self._ended | self._passed_over

    def after(self, ended: Collection[int]) -> int | None:
        """The floor that there will be once these open offsets have ended too; None while nothing was taken."""
        left = (offset for offset in self._open if offset not in self._ended and offset not in ended)
        return min(left, default=self._next)

    def pass_over(self, offsets: Iterable[int], *, above: int) -> None:
        """Have offsets that are not taken yet count as ended when their turn comes.

        Args:
            above: the floor that they were told with. Once an offset below it is taken, the log is another one (made anew, or
                truncated), and none of them means anything there.
        """
        self._passed_over.update(offsets)
        self._passed_over_above = above

    def take(self, offset: int) -> bool:
        """Take an offset up; False if it is known already, or to be passed over, and has not to be run again.

        Offsets come in rising order but for repeats; they need not be consecutive (compaction, transactions).
        """
        if offset in self._handed_back:
            self._handed_back.discard(offset)
            return True
        if self._next is not None and offset < self._next:
            return False
        if offset < self._passed_over_above:
            self._passed_over.clear()
        heapq.heappush(self._open, offset)
        self._taken.add(offset)
        self._next = offset + 1
        if offset in self._passed_over:
            self._passed_over.discard(offset)
            self.end(offset)
            return False
        return True

    def hand_back(self, offset: int) -> None:
        """Let an open offset be taken once more; until that has ended, it holds the floor.

        Raises:
            KeyError: the offset is not open.
        """
        if offset not in self._taken or offset in self._ended:
            raise KeyError(offset)
        self._handed_back.add(offset)

    def end(self, offset: int) -> None:
        """Say that the request at ``offset`` has its result published, or needs none.

        Raises:
            KeyError: the offset is not open.
        """
        if offset not in self._taken or offset in self._ended:
            raise KeyError(offset)
        self._ended.add(offset)
        while self._open and self._open[0] in self._ended:
            lowest = heapq.heappop(self._open)
            self._ended.discard(lowest)
            self._taken.discard(lowest)
