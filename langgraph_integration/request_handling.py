"""What a worker does with one message: leave it, refuse it, or run it, and answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import structlog

from langgraph_integration.dead_letters import Refusal, answer_to_invalid, dead_letter, poisoned, read_request
from langgraph_integration.errors import InvalidRequestError, UnknownGraphError
from langgraph_integration.execution import GraphRunner, thread_of
from langgraph_integration.publishing import Publisher, UndeliverableError
from langgraph_integration.thread_lanes import ThreadLanes
from workflow_events.dead_letters import DeadLetterReason
from workflow_events.events import EventType, WorkflowEvent, WorkflowResultEvent
from workflow_events.wire import return_address_in

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from workflow_events.settings import KafkaSettings

__all__ = ["RequestHandler"]

log = logging.getLogger(__name__)


class CrashGuard(Protocol):
    """Who knows how many workers a request has crashed."""

    async def crashes(self) -> int:
        """That number."""

    def trial(self) -> AbstractAsyncContextManager[None]:
        """Wait until a request that may be poison can run without another such."""

    async def mark(self) -> None:
        """The run begins."""


class _Unguarded:
    async def crashes(self) -> int:
        return 0

    def trial(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def mark(self) -> None:
        return None


_UNGUARDED: CrashGuard = _Unguarded()


class RequestHandler:
    """Sees each message through to the point where its offset may be committed.

    Args:
        runner: runs the graphs.
        publisher: publishes the answers.
        settings: name the dead-letter topic.
        concurrency: runs at the same time. Those of one thread come one after another, in the order of their messages.
        max_crashes: workers that a request may crash before it is given up; 0: any number.

    Attributes:
        counts: what became of the messages so far: ``answered``, ``ignored`` (an event that is no request), and by its reason
            what became a dead letter, whether or not somebody was told.
    """

    def __init__(
        self,
        runner: GraphRunner,
        publisher: Publisher,
        settings: KafkaSettings,
        *,
        concurrency: int,
        max_crashes: int = 0,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._max_crashes = max_crashes
        self._runner = runner
        self._publisher = publisher
        self._settings = settings
        self._lanes = ThreadLanes()
        self._slots = asyncio.Semaphore(concurrency)

    async def handle(
        self, record: ConsumerRecord, on_start: Callable[[], None], crash_guard: CrashGuard = _UNGUARDED
    ) -> None:
        """Process a message, in a task of its own.

        When this returns, its result is stored by all in-sync replicas, or it needs none.

        A cancellation leaves the request unanswered, to be delivered again.

        Args:
            on_start: called when its turn has come; until then nothing of it has been done.
            crash_guard: tells how many workers the request has crashed, and is told when its run begins.

        Raises:
            TransportError: the result can be published nowhere, and waiting will not help.
        """
        try:
            crashes = await crash_guard.crashes()
            if 0 < self._max_crashes <= crashes:
                raise poisoned(crashes, topic=self._settings.dead_letter_topic(record.topic))
            event = read_request(record.value, max_bytes=self._settings.max_read_bytes)
        except Refusal as refusal:
            on_start()
            await self._refuse(record, refusal)
            return
        if event.event_type != EventType.WORKFLOW_TRIGGERED:
            self.counts["ignored"] += 1
            return
        async with self._lanes.turn(thread_of(event)), crash_guard.trial(), self._slots:
            on_start()
            await crash_guard.mark()
            # The task's context is its own, so this needs no undoing.
            structlog.contextvars.bind_contextvars(correlation_id=str(event.event_id), workflow_id=event.workflow_id)
            result = await self._runner.answer(event)
            buried = await self._bury_unknown(record, event)
            answered = await self._answer(record, event, result, buried=buried)
            if answered and not buried:
                self.counts["answered"] += 1

    async def _bury_unknown(self, record: ConsumerRecord, event: WorkflowEvent) -> bool:
        """A dead letter of a request for a graph that is not here: it can be replayed once the graph is."""
        try:
            self._runner.choose(event)
        except UnknownGraphError as error:
            refusal = Refusal(DeadLetterReason.UNKNOWN_GRAPH, error).with_traceback(error.__traceback__)
            await self._bury(record, refusal)
            return True
        return False

    async def _answer(
        self, record: ConsumerRecord, event: WorkflowEvent, result: WorkflowResultEvent, *, buried: bool
    ) -> bool:
        detail = result.error_detail
        log.info(
            "Request %s answered: %s",
            event.event_id,
            result.status.value,
            extra={
                "status": result.status.value,
                "attempt": event.attempt,
                "duration_ms": result.duration_ms,
                **({"error_type": detail.type, "node": detail.node} if detail else {}),
            },
        )
        try:
            await self._publisher.publish_result(result, return_address_in(record.headers))
        except UndeliverableError as error:
            if buried:  # one letter for a message is enough
                log.warning("The refusal of request %s cannot be delivered: %s", event.event_id, error)
                return False
            refusal = Refusal(DeadLetterReason.UNDELIVERABLE, InvalidRequestError(str(error)))
            await self._bury(record, refusal.with_traceback(error.__traceback__))
            return False
        return True

    async def _refuse(self, record: ConsumerRecord, refusal: Refusal) -> None:
        await self._bury(record, refusal)
        answer = answer_to_invalid(record, refusal, max_bytes=self._settings.max_read_bytes)
        if answer is None:
            return
        try:
            await self._publisher.publish_result(answer, return_address_in(record.headers))
        except UndeliverableError as error:
            log.warning("The refusal of request %s cannot be delivered: %s", answer.correlation_id, error)

    async def _bury(self, record: ConsumerRecord, refusal: Refusal) -> None:
        topic = self._settings.dead_letter_topic(record.topic)
        log.warning(
            "Dead letter from %s-%d at offset %d to %s: %s",
            record.topic,
            record.partition,
            record.offset,
            topic,
            refusal,
            extra={"dead_letter": refusal.code.value},
        )
        await self._publisher.publish_dead_letter(dead_letter(record, refusal, topic=topic))
        self.counts[refusal.code.value] += 1
