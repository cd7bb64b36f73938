"""Asks the result store for the waiters of one reply reader, beside the log. Whichever has the result first answers.

The rules of when are in :mod:`~workflow_events.replies.store_questions`; whose result it is, is for the correlator to say, as of
any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from workflow_events.errors import WorkflowEventsError
from workflow_events.replies.store_questions import Outage, Question, is_long_ago, reply_in
from workflow_events.stored_results import AsyncStoredResults
from workflow_events.task_groups import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflow_events.replies.correlator import Correlator
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.expectation import Expectation
    from workflow_events.settings import KafkaSettings

__all__ = ["SecondSource"]

_AT_ONCE = 4
"""Questions under way at the same time; a restarted triggerer may have thousands, and the store has others to serve."""


class _Asking(Question):
    __slots__ = ("expectation", "timer")

    def __init__(self, expectation: Expectation, *, insists: bool) -> None:
        super().__init__(insists)
        self.expectation = expectation
        self.timer: asyncio.TimerHandle | None = None


class SecondSource:
    """The questions of one reader's waiters to the result store. Belongs to one event loop.

    Args:
        correlator: hands what is found to whom it belongs.

    Raises:
        ConfigurationError: no store is set, or httpx is not installed.
    """

    def __init__(self, settings: KafkaSettings, correlator: Correlator) -> None:
        self._correlator = correlator
        self._store = AsyncStoredResults(settings)
        self._outage = Outage()
        self._open: dict[Expectation, _Asking] = {}
        self._due: asyncio.Queue[_Asking] = asyncio.Queue()
        self._clock: Callable[[], float] = asyncio.get_running_loop().time

    def trouble(self) -> str | None:
        """Why the store could not be asked the last time; None where it could."""
        return self._outage.trouble

    def ask_to_be_quick(self, expectation: Expectation, known_end: Cursor) -> None:
        """Ask once for a waiter that begins, where its request was made long ago.

        Args:
            known_end: the log's end, as far as it is known.
        """
        if is_long_ago(expectation.pending, known_end):
            self.ask(expectation)

    def ask(self, expectation: Expectation, *, insists: bool = False) -> None:
        """Ask for a waiter; at once, and where it insists again and again.

        Args:
            insists: it has lost its place in the log.
        """
        asking = self._open.get(expectation)
        if asking is not None:
            asking.insists = asking.insists or insists
            return
        asking = _Asking(expectation, insists=insists)
        if self._outage.forbids(asking, self._clock()):
            return
        self._open[expectation] = asking
        expectation.store_is_asked()
        self._due.put_nowait(asking)

    def leave(self, expectation: Expectation) -> None:
        """Ask no more for a waiter that no longer waits."""
        asking = self._open.pop(expectation, None)
        if asking is not None and asking.timer is not None:
            asking.timer.cancel()

    async def run(self) -> None:
        """Ask what is to be asked, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.create_task(self._work(), name=f"result-store:{self._correlator.topic}")
        finally:
            for expectation in tuple(self._open):
                self.leave(expectation)
            with contextlib.suppress(OSError, RuntimeError):  # connections of which nobody wants to hear any more
                await finish(self._store.aclose())

    async def _work(self) -> None:
        while True:
            asking = await self._due.get()
            expectation = asking.expectation
            if self._open.get(expectation) is not asking or expectation.settled:
                continue
            asking.timer = None
            if not self._outage.forbids(asking, self._clock()):
                await self._put(asking)
            if self._open.get(expectation) is not asking:
                continue
            seconds = asking.again_in()
            if seconds is None:
                del self._open[expectation]
            else:
                asking.timer = asyncio.get_running_loop().call_later(seconds, self._due.put_nowait, asking)
            expectation.store_was_asked()

    async def _put(self, asking: _Asking) -> None:
        waiter = asking.expectation
        asking.asked += 1
        try:
            run = await self._store.run(waiter.pending.correlation_id)
            reply = reply_in(self._store.url, run)
        except WorkflowEventsError as error:
            self._outage.note(error, self._clock())
            return
        self._outage.over()
        if reply is not None:
            self._correlator.hand_over(reply, waiter.key)
