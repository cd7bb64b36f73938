"""Asks the result store for the threads that wait, beside the log. Whichever has the result first answers.

The log is polled by the waiting threads themselves; the questions are put by a thread of their own, so that a slow store holds up
nobody. It is there only while there is something to ask.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from workflow_events.errors import WorkflowEventsError
from workflow_events.replies.store_questions import Outage, Question, is_long_ago, reply_in
from workflow_events.stored_results import StoredResults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workflow_events.replies.correlator import Correlator, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Reply
    from workflow_events.settings import KafkaSettings

__all__ = ["SyncSecondSource"]


class _Asking(Question):
    __slots__ = ("answered", "due", "waiter")

    def __init__(self, waiter: Waiter, *, insists: bool) -> None:
        super().__init__(insists)
        self.waiter = waiter
        self.due = time.monotonic()
        self.answered = False


class SyncSecondSource:
    """The questions of one reader's waiters to the result store.

    Args:
        lock: the reader's; whoever calls a method holds it.
        correlator: hands what is found to whom it belongs.
        tell: called, with the lock held, when a question was answered one way or the other.

    Raises:
        ConfigurationError: no store is set, or httpx is not installed.
    """

    def __init__(
        self, settings: KafkaSettings, lock: threading.RLock, correlator: Correlator, tell: Callable[[], None]
    ) -> None:
        StoredResults(settings)  # raises where it cannot be asked at all
        self._settings = settings
        self._correlator = correlator
        self._tell = tell
        self._outage = Outage()
        self._news = threading.Condition(lock)
        self._open: dict[Waiter, _Asking] = {}
        self._thread: threading.Thread | None = None

    @property
    def trouble(self) -> str | None:
        """Why the store could not be asked the last time; None where it could."""
        return self._outage.trouble

    def ask_to_be_quick(self, waiter: Waiter, known_end: Cursor) -> None:
        """Ask once for a waiter that begins, where its request was made long ago.

        Args:
            known_end: the log's end, as far as it is known.
        """
        if is_long_ago(waiter.pending, known_end):
            self.ask(waiter)

    def ask(self, waiter: Waiter, *, insists: bool = False) -> None:
        """Ask for a waiter; at once, and where it insists again and again.

        Args:
            insists: it has lost its place in the log.
        """
        asking = self._open.get(waiter)
        if asking is not None:
            asking.insists = asking.insists or insists
            return
        asking = _Asking(waiter, insists=insists)
        if self._outage.forbids(asking, time.monotonic()):
            return
        self._open[waiter] = asking
        self._news.notify()
        if self._thread is None:
            # A daemon: a store that does not answer is not to keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="workflow-result-store", daemon=True)
            self._thread.start()

    def leave(self, waiters: Iterable[Waiter]) -> None:
        """Ask no more for those who no longer wait."""
        for waiter in waiters:
            self._open.pop(waiter, None)
        if not self._open:
            self._news.notify()

    def is_asking(self, waiters: Iterable[Waiter] | None = None) -> bool:
        """Whether one of these, or anybody, has not had an answer yet, of whatever kind."""
        some = self._open.values() if waiters is None else map(self._open.get, waiters)
        return any(asking is not None and not asking.answered for asking in some)

    def _run(self) -> None:
        # Of this thread alone: the next one may begin while this one closes its connections.
        with StoredResults(self._settings) as store:
            while (asking := self._next()) is not None:
                reply = self._put(store, asking)
                with self._news:
                    self._take(asking, reply)

    def _next(self) -> _Asking | None:
        """The next question, when it is due; None where nobody asks any more, and the thread is to end."""
        with self._news:
            while self._open:
                first = min(self._open.values(), key=lambda one: one.due)
                seconds = first.due - time.monotonic()
                if seconds <= 0:
                    return first
                self._news.wait(seconds)
            self._thread = None
            return None

    def _put(self, store: StoredResults, asking: _Asking) -> Reply | None:
        if self._outage.forbids(asking, time.monotonic()):
            return None
        asking.asked += 1
        try:
            reply = reply_in(store.url, store.run(asking.waiter.pending.correlation_id))
        except WorkflowEventsError as error:
            self._outage.note(error, time.monotonic())
            return None
        self._outage.over()
        return reply

    def _take(self, asking: _Asking, reply: Reply | None) -> None:
        waiter = asking.waiter
        if self._open.get(waiter) is asking:
            asking.answered = True
            seconds = asking.again_in()
            if seconds is None:
                del self._open[waiter]
            else:
                asking.due = time.monotonic() + seconds
            if reply is not None:
                self._correlator.hand_over(reply, waiter.key)
        self._tell()
