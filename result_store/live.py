"""The live feed: reads the topic of ``workflow.result_stored`` events for all who watch.

All partitions, in no group, committing nothing: each process that serves the API reads all, as each of its clients may watch any
of it. Who begins now is told what is new; who comes back with an id is told what came since, from memory or from the topic
(:mod:`result_store.live_past`). Who reads too slowly is sent away, and may come back with the last id it has seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from result_store.errors import LiveFeedError
from result_store.live_events import Memory, Reader, StoredRecord, Watch
from result_store.live_past import read_some
from workflow_events.errors import TransportError
from workflow_events.replies.tail import Tail
from workflow_events.signing import Signatures

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from result_store.records import StoredEvent
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record
    from workflow_events.settings import KafkaSettings

__all__ = ["LiveFeed"]

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 2000
_QUEUE: Final = 1000
_MOST_WATCHING: Final = 500
_SCANS: Final = 4
"""How many may read the topic's past at a time; each has a consumer of its own meanwhile."""
_CHUNK: Final = 500
_RETRY_SECONDS: Final = 3.0
_READY_SECONDS: Final = 10.0


class LiveFeed:
    """Tells many clients of one process what has been stored.

    Args:
        settings: name the cluster, and the keys that announcements are signed with.
        topic: where they are.
        on_stored: is called with what has changed, before clients are told; must not raise.
        on_gap: is called when the topic was made anew, so that nobody knows what was missed.
        queue: the most events that wait for one client.
        remembered: events that are kept for clients who come back.
        most_watching: clients at a time.
        chunk: events of the past that are read at a time.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        on_stored: Callable[[Sequence[StoredEvent]], None] = lambda _: None,
        on_gap: Callable[[], None] = lambda: None,
        queue: int = _QUEUE,
        remembered: int = _REMEMBERED,
        most_watching: int = _MOST_WATCHING,
        chunk: int = _CHUNK,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._on_stored = on_stored
        self._on_gap = on_gap
        self._queue = queue
        self._most = most_watching
        self._chunk = chunk
        self._reader = Reader(Signatures.of(settings), topic, settings.max_read_bytes)
        self._memory = Memory(remembered)
        self._tail = self._new_tail()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._watching: set[Watch] = set()
        self._scans = asyncio.Semaphore(_SCANS)
        self._failure: TransportError | None = None

    @property
    def watching(self) -> int:
        """How many watch now."""
        return len(self._watching)

    async def run(self) -> None:
        """Read until :meth:`end`. A topic that is not there yet is waited for. Whatever ends it ends the streams."""
        try:
            while not self._ended.is_set():
                await self._follow()
        finally:
            self.end()

    async def _follow(self) -> None:
        try:
            await self._tail.run()
        except TransportError as error:
            if self._failure is None:
                logger.warning("no live events as yet: %s", error)
            self._failure = error
            self._tail = self._new_tail()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._ended.wait()

    def end(self) -> None:
        """End all streams, and :meth:`run`."""
        self._ended.set()
        for watch in self._watching:
            watch.end()

    async def probe(self) -> None:
        """Whether the topic is being read.

        Raises:
            LiveFeedError: it is not; the message says why.
        """
        trouble = self._tail.trouble() or (None if self._failure is None else str(self._failure))
        if self._ended.is_set():
            trouble = "the feed has ended"
        if self._started.is_set() and trouble is None:
            return
        raise LiveFeedError(f"The topic {self._topic!r} is not being read: {trouble or 'no broker has answered yet'}.")

    async def check(self, timeout: float = _READY_SECONDS) -> None:
        """Whether one more client may watch.

        Args:
            timeout: seconds that a feed which has just been started gets.

        Raises:
            LiveFeedError: not now.
        """
        if len(self._watching) >= self._most:
            raise LiveFeedError(
                f"{self._most} clients watch already: come back later, or ask another process of the API."
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._started.wait()
        if self._ended.is_set():
            raise LiveFeedError("The store is stopping: come back when it is up again.")
        if not self._started.is_set():
            raise LiveFeedError("The topic of live events is not being read yet; /readyz says why. Come back later.")

    async def watch(
        self, since: Cursor | None, wanted: Callable[[StoredEvent], bool] = lambda _: True
    ) -> AsyncGenerator[tuple[Cursor, StoredRecord | None]]:
        """What is stored from now on, or from a cursor on; ends when the feed does, or when the client is too slow.

        Each item is where the stream stands after it, and what there is to tell; the first one, and others now and then, tell
        nothing but that. Ask :meth:`check` first.

        Args:
            since: the last cursor that the client knows; None: from now on.
            wanted: what the client may and wants to see.
        """
        watch = Watch(self._queue, self._tail.positions if since is None else since)
        self._watching.add(watch)
        # All from here on is in the watch's queue; what lies before it is the past.
        stop = dict(self._tail.positions)
        try:
            if self._ended.is_set():
                return
            yield dict(watch.cursor), None
            if since is not None:
                async for record in self._past(watch, stop):
                    if wanted(record.event):
                        yield watch.after(record), record
                    watch.pass_over(record)
                if watch.ended:
                    return
                watch.stand_at(stop)
                yield dict(watch.cursor), None
            async for record in watch.news():
                if wanted(record.event):
                    yield watch.after(record), record
                watch.pass_over(record)
        except TransportError as error:
            logger.warning("a client of the live events is sent away, for what it has missed cannot be read: %s", error)
        finally:
            self._watching.discard(watch)

    async def _past(self, watch: Watch, stop: Cursor) -> AsyncGenerator[StoredRecord]:
        """What lies between where a watch stands and ``stop``."""
        if self._memory.covers(watch.cursor, stop):
            for record in self._memory.since(watch.cursor, stop):
                yield record
            return
        is_last = False
        while not is_last and not watch.ended:
            # By chunks, and nothing is held between them: a slow client costs only its own time.
            async with self._scans:
                some = await read_some(self._settings, self._topic, self._reader, watch.cursor, stop, self._chunk)
            watch.stand_at(some.start)
            for record in some.records:
                yield record
            watch.stand_at(some.next)
            is_last = some.is_last

    def _new_tail(self) -> Tail:
        return Tail(
            self._settings,
            self._topic,
            on_start=self._begin,
            on_records=self._take,
            on_rewind=self._rewind,
            keep_going=lambda: not self._ended.is_set(),
        )

    def _begin(self) -> None:
        self._failure = None
        self._memory.begin(self._tail.positions)
        self._started.set()

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        stored = self._reader.read(records)
        self._memory.add(partition, stored)
        if stored:
            self._on_stored([record.event for record in stored])
        for watch in self._watching:
            for record in stored:
                watch.offer(record)

    def _rewind(self, positions: Cursor) -> None:
        # Offsets mean something else from here on: clients come back, and are told from the log's start.
        self._memory.begin(positions)
        self._on_gap()
        for watch in self._watching:
            watch.end()
