"""One reader for all waiters of a reply topic in one event loop.

No group and no commit: every waiter brings its own cursor. The reader follows the end of the topic
(:mod:`~workflow_events.replies.tail`). Who is a little behind is served from what it remembers
(:mod:`~workflow_events.replies.window`), who is further behind from one shared scan
(:mod:`~workflow_events.replies.catch_up`).
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING

from workflow_events.errors import BrokerUnavailableError, TransportError, WorkflowEventsError
from workflow_events.replies.catch_up import CatchUp
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.cursor import is_behind, reading_from
from workflow_events.replies.deadlines import Deadlines
from workflow_events.replies.expectation import Expectation
from workflow_events.replies.tail import Tail
from workflow_events.replies.window import RecentRecords
from workflow_events.signing import Signatures
from workflow_events.task_groups import first_error
from workflow_events.wire import correlation_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.correlator import Counts, Waiter
    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record, Reply
    from workflow_events.replies.second_source import SecondSource
    from workflow_events.settings import KafkaSettings

__all__ = ["ReplyReader"]

_WINDOW_BYTES = 64 * 1024 * 1024

_readers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[KafkaSettings, str], ReplyReader]]
_readers = weakref.WeakKeyDictionary()


class ReplyReader:
    """Reads one reply topic for everybody in this event loop who waits for a result there.

    Get it by :meth:`lease`: all leases of one loop, cluster and topic share one reader and its one consumer.

    Args:
        window_bytes: bound on the memory for recent records.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, window_bytes: int = _WINDOW_BYTES) -> None:
        self.settings = settings
        self.topic = topic
        signatures = Signatures.of(settings)
        self._correlator = Correlator(topic, signatures, max_bytes=settings.max_read_bytes)
        self._recent = RecentRecords(window_bytes, keep_headers=signatures is not None)
        self._tail = Tail(
            settings,
            topic,
            on_start=self._begin,
            on_records=self._take,
            on_rewind=self._rewind,
            keep_going=self._is_wanted,
        )
        self._second: SecondSource | None = None
        if settings.result_store_url is not None:
            from workflow_events.replies.second_source import SecondSource  # noqa: PLC0415 - few have a store

            self._second = SecondSource(settings, self._correlator)
        self._catch_up = CatchUp(settings, self._correlator, self.cursor, self._lose_place if self._second else None)
        self.deadlines = Deadlines(asyncio.get_running_loop())
        self._started = asyncio.Event()
        self._leases = 0
        self._linger = 0.0
        self._idle_since = 0.0
        self.closing = False
        self._failure: WorkflowEventsError | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def lease(cls, settings: KafkaSettings, topic: str, *, linger: float = 0.0) -> AsyncIterator[ReplyReader]:
        """The shared reader of this event loop, cluster and topic, started if need be.

        Args:
            linger: seconds that the reader stays connected after its last lease has ended, for the next to find it warm.
                With 0 the last lease waits until the connections are closed.
        """
        loop = asyncio.get_running_loop()
        readers = _readers.setdefault(loop, {})
        reader = readers.get((settings, topic))
        if reader is None or reader.closing:
            reader = readers[settings, topic] = cls(settings, topic)
            reader._task = asyncio.create_task(reader._run(), name=f"reply-reader:{topic}")
        reader._leases += 1
        reader._linger = max(reader._linger, linger)
        try:
            yield reader
        finally:
            reader._leases -= 1
            reader._idle_since = loop.time()
            if reader._leases == 0 and reader._linger == 0:
                await reader._aclose()

    @property
    def counts(self) -> Counts:
        """What has passed the correlator."""
        return self._correlator.counts

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._correlator)

    @property
    def scans(self) -> int:
        """How many catch-up scans have been made."""
        return self._catch_up.scans

    def trouble(self) -> str | None:
        """What keeps the reader from reading, for an error's text; None where nothing does."""
        return self._tail.trouble()

    def store_trouble(self) -> str | None:
        """Why the result store could not be asked the last time; None where it could, or none is set."""
        return None if self._second is None else self._second.trouble()

    def cursor(self) -> dict[int, int]:
        """A reply cursor for a request that is published after this call; the reader must be :meth:`ready`.

        It is where the reader stands, at or before the topic's end: as safe as the end offsets, and asks nobody.
        """
        return dict(self._tail.positions)

    async def read_to_end(self) -> bool:
        """Wait until what is in the topic now has been offered to the waiters; False where the topic cannot be read."""
        return await self._tail.read_to_end()

    async def ready(self, timeout: float) -> None:
        """Wait until the reader has its first positions.

        Args:
            timeout: seconds.

        Raises:
            TransportError: it cannot begin: the last error, or that no broker answered in time.
        """
        if not self._started.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._started.wait()
        if self._failure is not None:
            raise self._failure
        if not self._tail.positions:
            raise self._tail.last_error or BrokerUnavailableError(
                f"No broker of {self.settings.bootstrap_servers} answered within {timeout:g} s about topic "
                f"{self.topic!r}; check the address, and that the broker runs."
            )

    async def wait(self, pending: PendingRequest) -> Reply:
        """The result of a request, whether it was there before or is yet to come.

        A wait that begins after the deadline (taken up late by another process) still finds a result that is there.

        Raises:
            ResultTimeoutError: none by the deadline.
            NotAcceptedError, WorkerSilentError: a clock of the request ran out.
            TransportError: the reader could not begin, for a reason that waiting does not mend.
        """
        with self.expect(pending) as expected:
            if pending.clocked:
                from workflow_events.progress.ending_early import clocked_reply  # noqa: PLC0415 - few have clocks

                return await clocked_reply(self, expected)
            return await expected.reply()

    def expect(self, pending: PendingRequest, key: bytes | None = None, seconds: float | None = None) -> Expectation:
        """A registered waiter, as a context manager; for who must wait before the request is sent.

        Pattern: Spring Kafka's ``ReplyingKafkaTemplate`` registers, then sends, and undoes the registration on failure.

        Args:
            key, seconds: as :class:`Expectation` has them.
        """
        return Expectation(self, pending, key, seconds)

    def admit(self, expectation: Expectation) -> None:
        """Called by an expectation that begins."""
        self._correlator.add(expectation)
        if self._failure is not None:
            expectation.fail(self._failure)
        elif self._started.is_set():
            self._look_back(expectation)

    def dismiss(self, expectation: Expectation) -> None:
        """Called by an expectation that ends."""
        self._correlator.forget(expectation)
        self._catch_up.leave(expectation)
        if self._second is not None:
            self._second.leave(expectation)

    def _look_back(self, expectation: Expectation) -> None:
        pending, positions, done = expectation.pending, self._tail.positions, expectation.past_is_read
        if self._second is not None:
            self._second.ask_to_be_quick(expectation, positions)
        cursor: Cursor = pending.reply_cursor
        if pending.reply_partition is not None:
            cursor = reading_from(cursor, pending.reply_partition, positions)
        if cursor == positions:
            done()
            return
        behind = is_behind(cursor, positions)
        # Ahead of the reader, the cursor may also lie beyond the log's end, in a topic that was made anew since.
        if (behind and not self._recent.covers(cursor)) or is_behind(positions, cursor):
            self._catch_up.join(expectation, done)
            return
        if behind:
            for record in self._recent.find(expectation.key):
                self._correlator.offer(record, expectation.key)
        done()

    def _begin(self) -> None:
        self._recent.start_at(self._tail.positions)
        self._started.set()
        for expectation in self._expectations():
            self._look_back(expectation)

    def _rewind(self, positions: dict[int, int]) -> None:
        """The log is another than it was, or lost what this reader had yet to read, and with it anybody's result."""
        self._recent.start_at(positions)
        if self._second is not None:
            for expectation in self._expectations():
                self._second.ask(expectation, insists=True)

    def _lose_place(self, waiter: Waiter) -> None:
        """A waiter's cursor has fallen off the log."""
        if self._second is not None and isinstance(waiter, Expectation):
            self._second.ask(waiter, insists=True)

    def _expectations(self) -> list[Expectation]:
        return [waiter for waiter in self._correlator.waiters() if isinstance(waiter, Expectation)]

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        keys = correlation_keys(records)
        self._recent.append(partition, records, keys)
        self._correlator.feed(records, keys)

    def _is_wanted(self) -> bool:
        idle = self._leases == 0 and asyncio.get_running_loop().time() - self._idle_since >= self._linger
        self.closing = self.closing or idle
        return not self.closing

    async def _run(self) -> None:
        failure: WorkflowEventsError | None = None
        try:
            with first_error():
                async with asyncio.TaskGroup() as tasks:
                    beside = [tasks.create_task(self._catch_up.run(), name=f"reply-catch-up:{self.topic}")]
                    if self._second is not None:
                        beside.append(tasks.create_task(self._second.run(), name=f"result-store:{self.topic}"))
                    await self._tail.run()
                    for task in beside:
                        task.cancel()
        except TransportError as error:
            failure = error
        finally:
            self.closing = True
            self._failure = failure or WorkflowEventsError(
                f"The reader of topic {self.topic!r} was closed while somebody waited; keep its client open for the wait."
            )
            self._started.set()
            for expectation in self._expectations():
                expectation.fail(self._failure)
            readers = _readers.get(asyncio.get_running_loop(), {})
            if readers.get((self.settings, self.topic)) is self:
                del readers[self.settings, self.topic]

    async def _aclose(self) -> None:
        self.closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
