"""What a worker does with one message: leave it, refuse it, or run it, and answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from langgraph_integration.cancellations import Cancellation, Cancellations
from langgraph_integration.dead_letters import answer_to_invalid, dead_letter
from langgraph_integration.execution import GraphRunner, HandedOverError, cancelled, thread_of
from langgraph_integration.publishing import Publisher, UndeliverableError
from langgraph_integration.recent_answers import RecentAnswers
from langgraph_integration.resuming import REQUESTS
from langgraph_integration.supervision import HandOver, Supervision
from langgraph_integration.thread_lanes import ThreadLanes
from workflow_events.errors import InvalidEventError
from workflow_events.signing import REQUEST_TYPES, Signatures
from workflow_events.wire import decode_event, return_address_in

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.progress import Progress
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["RequestHandler"]

log = logging.getLogger(__name__)


class RequestHandler:
    """Sees each message through to the point where its offset may be committed.

    Args:
        runner: runs the graphs.
        publisher: publishes the answers.
        settings: name the dead-letter topic.
        concurrency: runs at the same time. Those of one thread come one after another, in the order of their messages; so
            do those of one correlation id, whatever threads they name.
        cancellations: what is to be stopped.
        progress: tells of the runs; None: nobody does.
    """

    def __init__(
        self,
        runner: GraphRunner,
        publisher: Publisher,
        settings: KafkaSettings,
        *,
        concurrency: int,
        cancellations: Cancellations | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._runner = runner
        self._publisher = publisher
        self._settings = settings
        self._signatures = Signatures.of(settings)
        self._cancellations = Cancellations() if cancellations is None else cancellations
        self._progress = progress
        self._answered = RecentAnswers()
        # A request's own lane is entered before its thread's, so that none waits in a ring.
        self._requests = ThreadLanes()
        self._lanes = ThreadLanes()
        self._slots = asyncio.Semaphore(concurrency)

    async def handle(
        self,
        record: ConsumerRecord,
        on_start: Callable[[], None],
        hand_over: HandOver | None = None,
        *,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """Process a message, in a task of its own.

        When this returns, its result is stored by all in-sync replicas, or it needs none.

        A cancellation of this task, or a hand-over, leaves the request unanswered, to be delivered again.

        Args:
            on_start: called when its turn has come; until then nothing of it has been done.
            hand_over: asks its run to stop after the superstep that it is in.
            on_answer: called when its run has ended, before the result is published.

        Raises:
            TransportError: the result can be published nowhere, and waiting will not help.
        """
        if self._signatures is not None and not self._signatures.admits(record, REQUEST_TYPES, topic=record.topic):
            # Not even a dead letter: whoever asked without a key would be answered in our name.
            on_start()
            return
        try:
            event = decode_event(record.value)
        except InvalidEventError as error:
            on_start()
            await self._refuse(record, str(error))
            return
        if event.event_type not in REQUESTS:
            return
        # The task's context is its own, so this needs no undoing.
        structlog.contextvars.bind_contextvars(correlation_id=str(event.event_id), workflow_id=event.workflow_id)
        with self._cancellations.watching(event) as cancellation:
            try:
                async with self._turn(event, cancellation):
                    on_start()
                    result = await self._run(event, cancellation, hand_over or HandOver())
                    cancellation.end()
                    on_answer()
                    await self._answer(record, event, result)
                    return
            except HandedOverError as error:
                log.info("Request %s is handed over at its checkpoint", event.event_id)
                raise asyncio.CancelledError(str(error)) from error
            except asyncio.CancelledError:
                if not cancellation.absorbed() or cancellation.asked is None:
                    raise
            on_start()
            on_answer()
            # Its turn had not come.
            await self._answer(record, event, cancelled(event, cancellation.asked))

    @asynccontextmanager
    async def _turn(self, event: WorkflowEvent, cancellation: Cancellation) -> AsyncIterator[None]:
        if cancellation.asked is not None:
            yield  # nothing will run, so there is nothing to wait for
            return
        async with self._requests.turn(str(event.event_id)), self._lanes.turn(thread_of(event)), self._slots:
            yield

    async def _run(self, event: WorkflowEvent, cancellation: Cancellation, hand_over: HandOver) -> WorkflowResultEvent:
        again = self._answered.to(event)
        if again is not None:
            return again
        if self._progress is None:
            return await self._runner.answer(event, Supervision(None, cancellation, hand_over))
        with self._progress.of(event) as observer:
            return await self._runner.answer(event, Supervision(observer, cancellation, hand_over))

    async def _answer(self, record: ConsumerRecord, event: WorkflowEvent, result: WorkflowResultEvent) -> None:
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
            size = await self._publisher.publish_result(result, return_address_in(record.headers))
        except UndeliverableError as error:
            await self._bury(record, str(error))
        else:
            self._answered.keep(result, size)

    async def _refuse(self, record: ConsumerRecord, reason: str) -> None:
        await self._bury(record, reason)
        answer = answer_to_invalid(record, reason)
        if answer is None:
            return
        try:
            await self._publisher.publish_result(answer, return_address_in(record.headers))
        except UndeliverableError as error:
            log.warning("The refusal of request %s cannot be delivered: %s", answer.correlation_id, error)

    async def _bury(self, record: ConsumerRecord, reason: str) -> None:
        topic = self._settings.dead_letter_topic(record.topic)
        log.warning(
            "Dead letter from %s-%d at offset %d to %s: %s",
            record.topic,
            record.partition,
            record.offset,
            topic,
            reason,
        )
        await self._publisher.publish_dead_letter(dead_letter(record, reason, topic=topic))
