"""Answers that were given before, kept for a while, and forgotten at once when what they tell of has changed.

An answer has an *owner*: the user, the batch or the request whose change makes it old. Whoever writes calls
``forget(owners_of(changed))`` once the transaction is committed. A cache that is down is a cache that knows nothing: it is
logged, counted, and nothing else happens.

Between a reader that has read the old row, and a writer that has changed it since, the reader might put what is old already. So
an owner that was forgotten takes nothing new for :data:`SETTLE_SECONDS`, longer than a reader takes from its question to the
database to its ``put`` (a simple form of the leases in Nishtala et al., "Scaling Memcache at Facebook", 2013).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from result_store.records import StoredEvent

__all__ = ["MOST_BYTES", "SETTLE_SECONDS", "Cache", "LocalCache", "Outcome", "owners_of"]

SETTLE_SECONDS: Final = 5
"""How long an owner takes nothing new once it was forgotten."""
MOST_BYTES: Final = 1024 * 1024
"""The largest answer that is kept."""
_MOST_BYTES_HERE: Final = 64 * 1024 * 1024

Outcome = Literal["hit", "miss", "error"]


class Cache(Protocol):
    """Keeps answers. It raises nothing, whatever becomes of it."""

    async def get(self, key: str) -> bytes | None:
        """An answer; None where there is none."""

    async def put(self, key: str, value: bytes, *, owner: str) -> None:
        """Keep an answer until its owner is forgotten, and no longer than the settings say."""

    async def forget(self, owners: Iterable[str]) -> None:
        """Drop all answers of these owners, now."""

    async def close(self) -> None:
        """Let go of what it holds."""


def owners_of(changed: Iterable[StoredEvent]) -> set[str]:
    """Whose answers are old: those of the requests that have changed, of their batches, and of their users."""
    owners: set[str] = set()
    for event in changed:
        owners.update((str(event.correlation_id), event.workflow_run_id, event.user_id or ""))
    return owners


class LocalCache:
    """A process's own. What other processes write it does not hear of, unless somebody tells it, as the live feed does.

    Args:
        entries: the most answers that it keeps; the oldest go first.
        ttl: seconds that an answer is kept.
        on_request: is told of each question.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        entries: int,
        ttl: float,
        *,
        on_request: Callable[[Outcome], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = entries
        self._ttl = ttl
        self._told = on_request
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes, str]] = OrderedDict()  # the oldest first
        self._of_owner: dict[str, set[str]] = {}
        self._settling: OrderedDict[str, float] = OrderedDict()
        self._bytes = 0

    async def get(self, key: str) -> bytes | None:
        """An answer; None where there is none."""
        found = self._kept.get(key)
        if found is not None and found[0] <= self._clock():
            self._drop(key)
            found = None
        self._told("miss" if found is None else "hit")
        return None if found is None else found[1]

    async def put(self, key: str, value: bytes, *, owner: str) -> None:
        """Keep an answer until its owner is forgotten, and no longer than the settings say."""
        now = self._clock()
        self._drop(key)
        if self._settling.get(owner, now) > now or self._ttl <= 0 or len(value) > MOST_BYTES:
            return
        self._kept[key] = (now + self._ttl, value, owner)
        self._of_owner.setdefault(owner, set()).add(key)
        self._bytes += len(value)
        while len(self._kept) > self._entries or self._bytes > _MOST_BYTES_HERE:
            self._drop(next(iter(self._kept)))

    async def forget(self, owners: Iterable[str]) -> None:
        """Drop all answers of these owners, now."""
        self.forget_now(owners)

    def forget_now(self, owners: Iterable[str]) -> None:
        """As :meth:`forget`, for who cannot await."""
        now = self._clock()
        for owner in owners:
            for key in self._of_owner.pop(owner, ()):
                self._bytes -= len(self._kept.pop(key)[1])
            self._settling[owner] = now + SETTLE_SECONDS
            self._settling.move_to_end(owner)
        while self._settling and next(iter(self._settling.values())) <= now:
            self._settling.popitem(last=False)

    def clear(self) -> None:
        """Drop everything: nobody knows what was missed."""
        self.forget_now(list(self._of_owner))

    async def close(self) -> None:
        """Let go of what it holds."""
        self.clear()

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is None:
            return
        self._bytes -= len(found[1])
        of_owner = self._of_owner[found[2]]
        of_owner.discard(key)
        if not of_owner:
            del self._of_owner[found[2]]
