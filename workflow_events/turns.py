"""Sharing an event loop: who works on without waiting lets the others have their turn now and then."""

from __future__ import annotations

import asyncio

__all__ = ["Turns"]

_SECONDS = 0.001


class Turns:
    """The turns that one task gives the others in its loop.

    Args:
        every: seconds that the task may work on before others have their turn.
    """

    def __init__(self, every: float = _SECONDS) -> None:
        self._clock = asyncio.get_running_loop().time
        self._every = every
        self._due = self._clock() + every

    async def give(self) -> bool:
        """Suspend, if it is time; whether it was. A turn costs an iteration of the loop, so not each call is one."""
        if self._clock() < self._due:
            return False
        await asyncio.sleep(0)
        self._due = self._clock() + self._every
        return True
