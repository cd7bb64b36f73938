"""What waits to be told, bounded: rather than wait for room, what is least needed is dropped and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langgraph_integration.progress_events import Told

__all__ = ["Outbox"]


class Outbox:
    """A bounded queue between runs, which never wait, and the one task that publishes.

    Args:
        most: what may wait in all. The second half is for what is essential, so that a graph's own chatter cannot crowd out
            the heartbeats of others.

    Attributes:
        dropped: how much was dropped so far.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.dropped = 0
        self._waiting: deque[Told] = deque()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, told: Told) -> bool:
        """Take something up, or drop it; never waits. Returns whether it was taken up."""
        if len(self._waiting) >= (self.most if told.essential else self.most // 2):
            self.dropped += 1
            return False
        self._waiting.append(told)
        self._some.set()
        return True

    async def some(self) -> None:
        """Wait until there is something."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()

    def get_nowait(self) -> Told | None:
        """The oldest; None where nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    def drop_all(self) -> None:
        """Drop what waits: it could not be published, and grows old."""
        self.dropped += len(self._waiting)
        self._waiting.clear()
