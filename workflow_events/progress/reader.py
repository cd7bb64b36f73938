"""One reader of the progress topic for all in an event loop who need it; it is there only while somebody does.

Progress is off the hot path: a request without clocks and without a follower reads none. The parts are the reply reader's: the
tail follows the topic's end, a window and one shared scan serve who comes late.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import weakref
from typing import TYPE_CHECKING

from workflow_events.errors import WorkflowEventsError
from workflow_events.progress.beginning import PastCursors
from workflow_events.progress.watching import Watch, Watches, progress_keys
from workflow_events.progress.worker_group import WorkerGroup
from workflow_events.replies import topic_log
from workflow_events.replies.catch_up import CatchUp
from workflow_events.replies.cursor import is_behind
from workflow_events.replies.tail import Tail
from workflow_events.replies.window import RecentRecords
from workflow_events.retry import async_transport_retrying
from workflow_events.signing import Signatures
from workflow_events.task_groups import first_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.records import Record
    from workflow_events.settings import KafkaSettings

__all__ = ["ProgressReader"]

logger = logging.getLogger(__name__)

_WINDOW_BYTES = 8 * 1024 * 1024
_LISTEN_SECONDS = 1.0
"""How often the reader looks whether it can hear."""
_LAPSE_SECONDS = 3.0
"""A look that comes so much too late says that this process stood still."""

_readers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[KafkaSettings, ProgressReader]]
_readers = weakref.WeakKeyDictionary()
_complained: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[KafkaSettings]] = weakref.WeakKeyDictionary()


class ProgressReader:
    """Reads the progress topic of one cluster for everybody in this event loop. Get it by :meth:`lease`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.topic = settings.workflow_progress_topic
        self.group = WorkerGroup(settings)
        self.failure: WorkflowEventsError | None = None
        """Why the topic cannot be read at all; None where it can, or where that is not known yet."""
        self.heard_since = asyncio.get_running_loop().time()
        """The last time, by the loop's clock, at which the reader could not hear."""
        self.began = asyncio.Event()
        """Set when the reader has its first positions, or a failure."""
        signatures = Signatures.of(settings)
        self._watches = Watches(self.topic, signatures, max_bytes=settings.max_read_bytes)
        self._recent = RecentRecords(_WINDOW_BYTES, keep_headers=signatures is not None)
        self._past = PastCursors(settings, self.topic)
        self._tail = Tail(
            settings,
            self.topic,
            on_start=self._begin,
            on_records=self._take,
            on_rewind=self._rewind,
            keep_going=lambda: True,
        )
        self._catch_up = CatchUp(settings, self._watches, self.cursor)
        self._unplaced: set[Watch] = set()
        self._wanting = asyncio.Event()
        self._leases = 0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def lease(cls, settings: KafkaSettings) -> AsyncIterator[ProgressReader]:
        """The shared reader of this event loop and cluster, started if need be, and closed with its last lease."""
        readers = _readers.setdefault(asyncio.get_running_loop(), {})
        reader = readers.get(settings)
        if reader is None or reader.failure is not None:
            reader = readers[settings] = cls(settings)
            reader._task = asyncio.create_task(reader._run(), name=f"progress-reader:{reader.topic}")
        reader._leases += 1
        try:
            yield reader
        finally:
            reader._leases -= 1
            if reader._leases == 0:
                if readers.get(settings) is reader:
                    del readers[settings]
                await reader._aclose()

    def cursor(self) -> dict[int, int]:
        """Where the reader stands: before everything that is said of a request published after this call."""
        return dict(self._tail.positions)

    def trouble(self) -> str | None:
        """What keeps the reader from hearing now; None where nothing does."""
        return str(self.failure).rstrip(".") if self.failure is not None else self._tail.trouble()

    async def read_to_end(self) -> bool:
        """Wait until what is in the topic now has been told; False where the topic cannot be read."""
        return self.failure is None and self.began.is_set() and await self._tail.read_to_end()

    @contextlib.contextmanager
    def watch(
        self,
        pending: PendingRequest,
        tell: Callable[[WorkflowEvent], None],
        wake: Callable[[], None],
        *,
        since: dict[int, int] | None = None,
    ) -> Iterator[Watch]:
        """Hear of a request's run while the block lasts, from the request's begin on.

        Args:
            tell: called with each event, in order, once each. Must not raise.
            wake: called when the past has been told, and when the reader fails. Must not raise.
            since: a cursor from before the request was published; None looks back by the time in its id.
        """
        watch = Watch(pending, tell, wake)
        if since:
            watch.start_at(self.topic, since)
        else:
            self._unplaced.add(watch)
            self._wanting.set()
        self._watches.add(watch)
        if since and self.began.is_set():
            self._look_back(watch)
        try:
            yield watch
        finally:
            self._unplaced.discard(watch)
            self._watches.forget(watch)
            self._catch_up.leave(watch)

    def _look_back(self, watch: Watch) -> None:
        cursor, positions = watch.pending.reply_cursor, self._tail.positions
        if is_behind(cursor, positions):
            if not self._recent.covers(cursor):
                self._catch_up.join(watch, watch.done)
                return
            for record in self._recent.find(watch.key):
                self._watches.offer(record, watch.key)
        watch.done()

    def _begin(self) -> None:
        self._recent.start_at(self._tail.positions)
        self.began.set()
        for watch in tuple(self._watches.waiters()):
            if isinstance(watch, Watch) and watch not in self._unplaced:
                self._look_back(watch)

    def _rewind(self, positions: dict[int, int]) -> None:
        self._recent.start_at(positions)
        self._past.forget()

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        keys = progress_keys(records)
        self._recent.append(partition, records, keys)
        self._watches.feed(records, keys)

    async def _run(self) -> None:
        try:
            with first_error():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._catch_up.run(), name=f"progress-catch-up:{self.topic}")
                    tasks.create_task(self._place(), name=f"progress-past:{self.topic}")
                    tasks.create_task(self._listen(), name=f"progress-listen:{self.topic}")
                    await self._tail.run()
        except WorkflowEventsError as error:
            self.failure = error
            said = _complained.setdefault(asyncio.get_running_loop(), set())
            if self.settings not in said:
                said.add(self.settings)
                logger.warning(
                    "progress cannot be read, so clocks cannot tell a dead worker from a slow one: %s", error
                )
        finally:
            self.began.set()
            for watch in tuple(self._watches.waiters()):
                if isinstance(watch, Watch):
                    watch.wake()

    async def _place(self) -> None:
        """Find out where the past of each new watch begins; with the brokers away, again until they are back."""
        await self.began.wait()
        while True:
            await self._wanting.wait()
            self._wanting.clear()
            while self._unplaced:
                watch = next(iter(self._unplaced))
                cursor: dict[int, int] = {}
                async for attempt in async_transport_retrying(timeout=math.inf):
                    with attempt, topic_log.taken_as_passing():
                        cursor = await self._past.for_request(watch.pending.correlation_id)
                if watch in self._unplaced:
                    self._unplaced.discard(watch)
                    watch.start_at(self.topic, cursor)
                    self._look_back(watch)

    async def _listen(self) -> None:
        """Note when the reader cannot hear: the brokers are away, or this process stands still."""
        clock = asyncio.get_running_loop().time
        last = clock()
        while True:
            await asyncio.sleep(_LISTEN_SECONDS)
            now = clock()
            if self._tail.trouble() is not None or now - last > _LISTEN_SECONDS + _LAPSE_SECONDS:
                self.heard_since = now
            last = now

    async def _aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
