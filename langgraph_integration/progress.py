"""Tells the progress topic what runs do, beside them: whatever becomes of the telling, no run waits for it or fails by it.

It has a producer of its own, which asks for the leader's confirmation alone. Where the topic is absent, forbidden or slow,
what cannot be told is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from langgraph_integration.outbox import Outbox
from langgraph_integration.progress_events import new_worker_id, plain_custom, told
from workflow_events.errors import WorkflowEventsError
from workflow_events.events import EventType, WorkflowEvent
from workflow_events.transport import aio
from workflow_events.turns import Turns
from workflow_events.wire import about_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka.structs import RecordMetadata

    from langgraph_integration.progress_events import Told
    from workflow_events.settings import KafkaSettings

__all__ = ["Progress", "RunProgress"]

log = logging.getLogger(__name__)

# Seconds.
_LAST_WORDS = 1.0  # what is left gets so long to be handed over when the worker stops
_CONFIRMATION = 5.0  # and then, or at any time, so long to be confirmed
_COMPLAIN_EVERY = 60.0
_FIRST_WINDOW, _LONGEST_WAIT = 1.0, 30.0
_LINGER_MS = 10
_MOST_WAITING = 4000


class Progress:
    """The telling of one worker's runs.

    Args:
        settings: where the topic is.
        heartbeat_interval: seconds between two heartbeats of a run.
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
        self._runs: set[RunProgress] = set()
        self._complained = float("-inf")

    @property
    def dropped(self) -> int:
        """Events that were not published: there was no room, or the topic did not take them."""
        return self.outbox.dropped + self.unconfirmed

    @contextmanager
    def of(self, request: WorkflowEvent) -> Iterator[RunProgress]:
        """Tell of one request's run while inside; its heart beats from when it is accepted."""
        run = RunProgress(self, request)
        try:
            yield run
        finally:
            self._runs.discard(run)

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

    def beating(self, run: RunProgress) -> None:
        """Let a run's heart beat."""
        self._runs.add(run)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_interval)
            for run in tuple(self._runs):
                run.heartbeat()

    async def _publish(self) -> None:
        async with self._producer() as producer:
            try:
                turns = Turns()
                while True:
                    await self._hand_over(producer, await self.outbox.get())
                    await turns.give()
            finally:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS):
                        while (last := self.outbox.get_nowait()) is not None:
                            await self._hand_over(producer, last)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[aio.Producer]:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(WorkflowEventsError),
            wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
            before_sleep=self._give_up_what_waits,
        )
        producer: aio.Producer = await retrying(aio.start_unsure_producer, self._settings, linger_ms=_LINGER_MS)
        try:
            yield producer
        finally:
            await producer.stop()

    async def _hand_over(self, producer: aio.Producer, item: Told) -> None:
        message = about_message(item.event(), topic=self._topic, correlation_id=item.request.event_id)
        try:
            sent = await aio.post(producer, message, self._settings.request_timeout)
        except WorkflowEventsError as error:
            self.unconfirmed += 1
            self.outbox.drop_all()
            self._complain(error)
        else:
            sent.add_done_callback(self._confirmed)

    def _confirmed(self, sent: asyncio.Future[RecordMetadata]) -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is not None:
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


class RunProgress:
    """What is told of one run; a :class:`~langgraph_integration.supervision.RunObserver`."""

    def __init__(self, progress: Progress, request: WorkflowEvent) -> None:
        self._progress = progress
        self._request = request
        self._node: str | None = None

    def accepted(self, *, resumed: bool) -> None:
        """The run begins."""
        interval = self._progress.heartbeat_interval
        self._progress.beating(self)
        self._tell(EventType.WORKFLOW_ACCEPTED, essential=True, resumed=resumed, heartbeat_interval=interval)

    def heartbeat(self) -> None:
        """The run goes on."""
        self._tell(EventType.WORKFLOW_HEARTBEAT, essential=True, node=self._node)

    def node_started(self, node: str, step: int) -> None:
        """A node begins."""
        self._node = node
        self._tell(EventType.WORKFLOW_PROGRESS, kind="node_started", node=node, step=step)

    def node_finished(self, node: str, step: int, duration_ms: float) -> None:
        """A node has ended well."""
        self._tell(EventType.WORKFLOW_PROGRESS, kind="node_finished", node=node, step=step, duration_ms=duration_ms)

    def custom(self, node: str | None, data: object) -> None:
        """The graph's own stream."""
        self._tell(EventType.WORKFLOW_PROGRESS, kind="custom", node=node or self._node, data=plain_custom(data))

    def _tell(self, event_type: EventType, *, essential: bool = False, **data: object) -> None:
        self._progress.outbox.offer(
            told(self._request, event_type, essential=essential, worker=self._progress.worker, **data)
        )
