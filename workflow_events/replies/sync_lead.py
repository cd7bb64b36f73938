"""Who leads: of the threads that wait for the same thing, the one that reads for all.

Whoever leads hands over when it has what it came for (pattern: Leader/Followers). There is no thread beside those that wait, so
when none of them waits nothing is read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Lead"]

_Answer = TypeVar("_Answer")


class Lead(threading.Condition):
    """The lead among threads, and the lock of what they share. Whoever calls a method holds the lock.

    Args:
        lock: held to look at what is shared; who leads lets go of it while it waits for the network.
        told: how many have been told so far; when it has grown under a leader, those who follow look for theirs.
    """

    def __init__(self, lock: threading.RLock, told: Callable[[], int]) -> None:
        super().__init__(lock)
        self._told = told
        self._askers = 0
        self.taken = False

    @property
    def asked_for(self) -> bool:
        """Whether somebody is inside :meth:`asking`."""
        return self._askers > 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Who leads lets go after its poll, and nobody takes the lead but those who ask."""
        self._askers += 1
        try:
            yield
        finally:
            self._askers -= 1
            self.notify_all()

    def take(self, step: Callable[[], _Answer]) -> _Answer:
        """Do a step that only who leads may do, without the lock. Nobody else has the lead."""
        told = self._told()
        self.taken = True
        self.release()
        try:
            return step()
        finally:
            self.acquire()
            self.taken = False
            if self._askers or told != self._told():
                self.notify_all()
