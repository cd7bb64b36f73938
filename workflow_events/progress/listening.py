"""Progress and clocks for threads: an event loop in a thread of its own, which is there only while somebody waits with it.

kafka-python's reader of replies has no background thread, and polls one topic. What runs beside it, the reader of progress and
the clocks, is the asynchronous side's; it hands over what it heard, and the waiting thread takes it between two polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from workflow_events.progress.reader import ProgressReader
from workflow_events.progress.running_out import run_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workflow_events.errors import NotAcceptedError, WorkerSilentError
    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.settings import KafkaSettings

__all__ = ["Listening", "LoopThread"]

_LAST_LOOK_SECONDS = 3.0


class LoopThread:
    """An event loop in a thread, shared by all who are inside :meth:`running`; the last one ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._serving: _Serving | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[asyncio.AbstractEventLoop]:
        """The loop, running while the block lasts."""
        with self._lock:
            serving = self._serving = self._serving or _Serving()
            self._users += 1
        try:
            yield serving.loop
        finally:
            with self._lock:
                self._users -= 1
                last = self._users == 0
                if last:
                    self._serving = None
            if last:
                serving.end()


class _Serving:
    """A thread in which an event loop runs until :meth:`end`, which waits until all in it have ended."""

    def __init__(self) -> None:
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def serve() -> None:
            over = asyncio.Event()
            begun.set_result((asyncio.get_running_loop(), over))
            await over.wait()

        # A daemon: who forgets to close a wait is not to keep its process from ending.
        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="workflow-progress", daemon=True)
        self._thread.start()
        self.loop, self._over = begun.result()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


class Listening:
    """What a thread hears of one request while it waits for the reply.

    Args:
        loop: from :meth:`LoopThread.running`.
        tell: called in the waiting thread, by :meth:`take`, with each event; None: only the clocks want to hear.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        pending: PendingRequest,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[WorkflowEvent], None] | None = None,
    ) -> None:
        self._settings = settings
        self._pending = pending
        self._loop = loop
        self._tell = tell
        self._events: deque[WorkflowEvent] = deque()
        self._error: NotAcceptedError | WorkerSilentError | None = None
        self._placed = asyncio.Event()
        self._task: Future[None] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    def take(self) -> None:
        """Hand on what was heard since the last call.

        Raises:
            NotAcceptedError, WorkerSilentError: a clock of the request has run out.
        """
        while self._events:
            event = self._events.popleft()
            if self._tell is not None:
                self._tell(event)
        if self._error is not None:
            raise self._error
        if self._task is not None and self._task.done():
            self._task.result()

    def finish(self) -> None:
        """Hand on what was said before the reply; it may take the reader a moment to have it."""
        if self._tell is None:
            return
        asyncio.run_coroutine_threadsafe(self._read_to_end(), self._loop).result()
        self._error = None
        self.take()

    async def _listen(self) -> None:
        async with ProgressReader.lease(self._settings) as progress:
            with contextlib.ExitStack() as stack:
                if self._tell is not None:
                    stack.enter_context(progress.watch(self._pending, self._events.append, self._placed.set))
                if self._pending.clocked:
                    self._error = await run_out(progress, self._pending)
                else:
                    await asyncio.Event().wait()

    async def _read_to_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_LOOK_SECONDS), ProgressReader.lease(self._settings) as progress:
                await self._placed.wait()
                await progress.read_to_end()
