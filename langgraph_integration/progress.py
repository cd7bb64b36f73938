"""Tells the progress topic what becomes of requests, beside them: whatever becomes of the telling, no run waits for it or fails.

It has a producer of its own, which asks for the leader's confirmation alone and sends what is said within a moment together.
Where the topic is absent, forbidden or slow, what cannot be told is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from langgraph_integration.heartbeats import Heartbeats
from langgraph_integration.outbox import Outbox
from langgraph_integration.progress_events import Teller, new_worker_id, plain_custom
from workflow_events.errors import WorkflowEventsError
from workflow_events.events import EventType
from workflow_events.transport import aio
from workflow_events.transport.outbox import Outbox as Batches
from workflow_events.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflow_events.events import WorkflowEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["Progress", "RequestProgress"]

log = logging.getLogger(__name__)

# Seconds.
_LAST_WORDS = 1.0  # what is left gets so long to be handed over when the worker stops
_CONFIRMATION = 5.0  # and then, or at any time, so long to be confirmed
_COMPLAIN_EVERY = 60.0
_FIRST_WINDOW, _LONGEST_WAIT = 1.0, 30.0
_LINGER = 0.05  # what is said within it travels together: asking a broker costs as much as telling of ten runs
_MOST_WAITING = 4000
_MOST_HANDED_OVER = (
    1000  # on their way to the producer; while they do not get there, the others wait where they can be dropped
)
_BATCH_BYTES = 65_536
_BEATS_AT_ONCE = 500  # of 4000: a worker with thousands of requests tells of them one part after the other


class Progress:
    """The telling of what one worker has in its hands.

    Args:
        settings: where the topic is.
        heartbeat_interval: seconds between two heartbeats of a request.
        most_waiting: events that may wait to be published; see :class:`~langgraph_integration.outbox.Outbox`.

    Attributes:
        worker: the worker's id in the events.
    """

    def __init__(
        self, settings: KafkaSettings, *, heartbeat_interval: float, most_waiting: int = _MOST_WAITING
    ) -> None:
        self.worker = new_worker_id()
        self.heartbeat_interval = heartbeat_interval
        self.outbox = Outbox(most_waiting)
        self.unconfirmed = 0
        # A confirmation that takes long is one nobody waits for; and stopping waits for those under way.
        self._settings = settings.replace(request_timeout=min(_CONFIRMATION, settings.request_timeout))
        self._topic = settings.workflow_progress_topic
        self._hearts: Heartbeats[RequestProgress] = Heartbeats(heartbeat_interval)
        self._complained = float("-inf")

    @property
    def dropped(self) -> int:
        """Events that were not published: there was no room, or the topic did not take them."""
        return self.outbox.dropped + self.unconfirmed

    @contextmanager
    def of(self, request: WorkflowEvent) -> Iterator[RequestProgress]:
        """Tell of one request while inside, and of nothing after; its heart beats from when it is accepted."""
        telling = RequestProgress(self, request)
        try:
            yield telling
        finally:
            telling.end()
            self._hearts.end(telling)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Publish while inside. It waits for no broker on entry; on exit what is left has a moment to get out."""
        tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._beat())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("Progress was no longer told", exc_info=ended)
            if self.dropped:
                log.warning("%d progress events were dropped", self.dropped)

    @property
    def beating(self) -> int:
        """How many requests' hearts beat."""
        return len(self._hearts)

    def begin(self, telling: RequestProgress) -> None:
        """Let a request's heart beat."""
        self._hearts.begin(telling, time.monotonic())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(max(_LINGER, self._hearts.wait(time.monotonic())))
            now = datetime.now(tz=UTC)
            for telling in self._hearts.take(time.monotonic(), _BEATS_AT_ONCE):
                telling.heartbeat(now)

    async def _publish(self) -> None:
        async with self._producer() as producer:
            batches = Batches(producer)
            try:
                while True:
                    await self.outbox.some()
                    await asyncio.sleep(_LINGER)
                    await self._hand_over(batches)
            finally:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS):
                        while len(self.outbox) or len(batches):
                            await self._hand_over(batches)
                            await batches.flush()
                await batches.aclose()

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[aio.Producer]:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(WorkflowEventsError),
            wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
            before_sleep=self._give_up_what_waits,
        )
        producer: aio.Producer = await retrying(aio.start_unsure_producer, self._settings, max_batch_size=_BATCH_BYTES)
        try:
            yield producer
        finally:
            await producer.stop()

    async def _hand_over(self, batches: Batches) -> None:
        """Hand over what waits, as far as there is room; other tasks have their turns meanwhile."""
        turns = Turns()
        for _ in range(_MOST_HANDED_OVER - len(batches)):
            told = self.outbox.get_nowait()
            if told is None:
                return
            try:
                message = told.message(topic=self._topic)
            except ValueError as error:
                self._lose(error)
                continue
            try:
                await batches.post(message, self._lose, self._settings.request_timeout)
            except WorkflowEventsError as error:
                self._lose(error)
                self.outbox.drop_all()
                return
            await turns.give()

    def _lose(self, error: BaseException) -> None:
        self.unconfirmed += 1
        self._complain(error)

    def _give_up_what_waits(self, state: RetryCallState) -> None:
        self.outbox.drop_all()
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            self._complain(error)

    def _complain(self, error: BaseException) -> None:
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            log.warning("Progress cannot be told, runs go on; %d events dropped so far: %s", self.dropped, error)


class RequestProgress:
    """What is told of one request in a worker's hands; a :class:`~langgraph_integration.supervision.RunObserver`."""

    __slots__ = ("_deadline", "_node", "_over", "_progress", "_running", "_teller")

    def __init__(self, progress: Progress, request: WorkflowEvent) -> None:
        self._progress = progress
        self._teller = Teller(request, progress.worker)
        self._deadline = request.deadline
        self._running = False
        self._over = False
        self._node: str | None = None

    def accepted(self) -> None:
        """The worker has taken the request; its run may have to wait for its turn."""
        self._progress.begin(self)
        interval = self._progress.heartbeat_interval
        self._tell(EventType.WORKFLOW_ACCEPTED, {"heartbeat_interval": interval}, essential=True)

    def heartbeat(self, now: datetime) -> None:
        """The worker still has the request. One that waits in line past its deadline is waited for by nobody."""
        if self._running or self._deadline is None or now < self._deadline:
            self._tell(EventType.WORKFLOW_HEARTBEAT, {"node": self._node}, essential=True)

    def end(self) -> None:
        """The request is no longer in hand: nothing more is told, whatever a thread that was left behind still says."""
        self._over = True

    def run_started(self, *, resumed: bool) -> None:
        """The run begins."""
        self._running = True
        self._tell(EventType.WORKFLOW_PROGRESS, {"kind": "run_started", "resumed": resumed})

    def node_started(self, node: str, step: int) -> None:
        """A node begins."""
        self._node = node
        self._tell(EventType.WORKFLOW_PROGRESS, {"kind": "node_started", "node": node, "step": step})

    def node_finished(self, node: str, step: int, duration_ms: float) -> None:
        """A node has ended well."""
        self._tell(
            EventType.WORKFLOW_PROGRESS,
            {"kind": "node_finished", "node": node, "step": step, "duration_ms": duration_ms},
        )

    def custom(self, node: str | None, data: object, step: int | None = None) -> None:
        """The graph's own stream; without ``node`` it is taken for the node that began last, and no step is told."""
        where = {"node": node or self._node} if node is None or step is None else {"node": node, "step": step}
        self._tell(EventType.WORKFLOW_PROGRESS, {"kind": "custom", **where, "data": plain_custom(data)})

    def _tell(self, event_type: EventType, data: dict[str, object], *, essential: bool = False) -> None:
        if not self._over:
            self._progress.outbox.offer(self._teller.say(event_type, data, essential=essential))
