"""Time-outs that several steps share."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["TOPIC_PATIENCE", "TOPIC_POLL", "Stopwatch"]

# Seconds. A topic that was made a moment ago is not known to every broker at once; one unknown for longer is not there.
TOPIC_PATIENCE: Final = 5.0
TOPIC_POLL: Final = 0.1


class Stopwatch:
    """A time-out in seconds that has begun to run; never below nought."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    def remaining(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._end - time.monotonic())
