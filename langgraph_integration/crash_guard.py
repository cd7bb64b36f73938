"""What the handling of a request asks before it runs it, and tells: whether its workers died of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

__all__ = ["UNGUARDED", "CrashGuard"]


class CrashGuard(Protocol):
    """Who knows how many workers a request has crashed."""

    async def crashes(self) -> int:
        """That number."""

    def trial(self) -> AbstractAsyncContextManager[None]:
        """Wait until a request that may be poison can run without another such."""

    async def mark(self) -> None:
        """The run begins."""


class _Unguarded:
    async def crashes(self) -> int:
        return 0

    def trial(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def mark(self) -> None:
        return None


UNGUARDED: Final[CrashGuard] = _Unguarded()
"""For who counts no crashes."""
