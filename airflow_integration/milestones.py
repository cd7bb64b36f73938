"""Which of ten thousand steps are worth a line in the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Milestones"]

_TENTHS = 10
_SILENCE_SECONDS = 60.0


class Milestones:
    """Every tenth of the way, and between two tenths a step a minute.

    Args:
        count: how many steps there are.
        clock: seconds, steady.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._tenths = 0
        self._told = clock()

    def is_one(self, step: int) -> bool:
        """Whether a step, counted from 1, is worth a line. It is taken to get one then."""
        tenths, now = step * _TENTHS // self._count, self._clock()
        if tenths <= self._tenths and now - self._told < _SILENCE_SECONDS:
            return False
        self._tenths, self._told = tenths, now
        return True
