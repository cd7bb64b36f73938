"""Two batches on their way into the store: the rows of one are made while the database is at work on the other.

They may reach the database in either order, for any order makes the same rows. What follows, the commit of offsets above all, is
done batch by batch: behind one that failed, nothing is committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from result_store.batches import Batch
    from result_store.records import StoredEvent

__all__ = ["Pipeline", "Saves"]

_MOST: Final = 2
"""Batches at a time. The store makes rows in one thread; with more, they would only wait for each other there."""


class Saves(Protocol):
    """Who stores a batch; :class:`~result_store.saving.Saving`."""

    async def save(self, batch: Batch[Any]) -> list[StoredEvent]:
        """Store a batch for good; what has changed in the rows."""


class _Step(NamedTuple):
    batch: Batch[Any]
    task: asyncio.Task[None]


class Pipeline:
    """Stores batches.

    Args:
        saving: stores one.
        see_through: called for each stored batch with what has changed in the rows, one after the other in their order.
    """

    def __init__(self, saving: Saves, see_through: Callable[[Batch[Any], list[StoredEvent]], Awaitable[None]]) -> None:
        self._saving = saving
        self._see_through = see_through
        self._steps: deque[_Step] = deque()

    @property
    def batches(self) -> list[Batch[Any]]:
        """Those that are under way, and those behind one that failed."""
        self._forget_finished()
        return [step.batch for step in self._steps]

    @property
    def is_full(self) -> bool:
        """Whether one has to be seen through before the next may begin."""
        return len(self.batches) >= _MOST

    @property
    def has_failed(self) -> bool:
        """Whether a batch could not be stored."""
        return any(_failed(step.task) for step in self._steps)

    def raise_what_failed(self) -> None:
        """Raise the error that the first batch that failed ended with, if one did."""
        for step in self._steps:
            if _failed(step.task):
                step.task.result()

    def begin(self, batch: Batch[Any]) -> None:
        """Begin to store a batch.

        Raises:
            WorkflowEventsError: an earlier one failed, as :meth:`~result_store.saving.Saving.save` raises it.
        """
        self.raise_what_failed()
        before = self._steps[-1].task if self._steps else None
        self._steps.append(_Step(batch, asyncio.ensure_future(self._store(batch, before))))

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the oldest batch; whether none is under way or it has ended, well or not, within so many seconds."""
        running = [step.task for step in self._steps if not step.task.done()]
        if running:
            await asyncio.wait(running[:1], timeout=timeout)
        return not running or running[0].done()

    async def finish(self) -> None:
        """Wait for all batches.

        Raises:
            WorkflowEventsError: one failed, as :meth:`~result_store.saving.Saving.save` raises it.
        """
        while self.batches:
            self.raise_what_failed()
            await self.wait()

    async def cancel(self) -> None:
        """Give up what is under way. The error of what failed before may still be asked for."""
        for step in self._steps:
            step.task.cancel()
        for step in self._steps:
            await asyncio.wait([step.task])
            if not step.task.cancelled():
                step.task.exception()  # whoever wants it asks for it

    async def _store(self, batch: Batch[Any], before: asyncio.Task[None] | None) -> None:
        changed = await self._saving.save(batch)
        if before is not None:
            await asyncio.wait([before])
            before.result()
        await self._see_through(batch, changed)

    def _forget_finished(self) -> None:
        while self._steps and self._steps[0].task.done() and not _failed(self._steps[0].task):
            self._steps.popleft()


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
