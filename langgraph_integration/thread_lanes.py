"""One run at a time on one LangGraph thread.

Two runs on one thread would each read the same checkpoint and each write a next one; one of the two is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["ThreadLanes"]


class ThreadLanes:
    """A first-come, first-served lock for each thread id; a lane exists only while somebody is in it."""

    def __init__(self) -> None:
        self._lanes: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    @asynccontextmanager
    async def turn(self, thread_id: str) -> AsyncIterator[None]:
        """Wait for this thread's turn and hold it."""
        lane = self._lanes.setdefault(thread_id, asyncio.Lock())
        self._users[thread_id] = self._users.get(thread_id, 0) + 1
        try:
            async with lane:
                yield
        finally:
            self._users[thread_id] -= 1
            if not self._users[thread_id]:
                del self._users[thread_id]
                del self._lanes[thread_id]
