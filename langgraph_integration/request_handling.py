"""What a worker does with one message: leave it, refuse it, or run it, and answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from langgraph_integration.answering import Answers
from langgraph_integration.cancellations import Cancellation, Cancellations
from langgraph_integration.crash_guard import UNGUARDED, CrashGuard
from langgraph_integration.dead_letters import Refusal, poisoned, read_request
from langgraph_integration.execution import GraphRunner, HandedOverError, cancelled, thread_of
from langgraph_integration.supervision import HandOver, Supervision
from langgraph_integration.thread_lanes import ThreadLanes
from workflow_events.events import REQUESTS
from workflow_events.signing import REQUEST_TYPES, Signatures

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.deliveries import Delivery
    from langgraph_integration.progress import Progress, RequestProgress
    from langgraph_integration.publishing import Publisher
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["RequestHandler"]

log = logging.getLogger(__name__)


class RequestHandler:
    """Sees each message through to the point where its offset may be committed.

    Args:
        runner: runs the graphs.
        publisher: publishes the answers.
        settings: name the dead-letter topic, and what is too large to read.
        concurrency: runs at the same time. Those of one thread come one after another, in the order of their messages; so
            do those of one correlation id, whatever threads they name.
        cancellations: what is to be stopped.
        progress: tells of the requests and their runs; None: nobody does.
        max_crashes: workers that a request may crash before it is given up; 0: any number.
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
        max_crashes: int = 0,
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._signatures = Signatures.of(settings)
        self._answers = Answers(publisher, settings, runner.choose)
        self._cancellations = Cancellations() if cancellations is None else cancellations
        self._progress = progress
        self._max_crashes = max_crashes
        # A request's own lane is entered before its thread's, so that none waits in a ring.
        self._requests = ThreadLanes()
        self._lanes = ThreadLanes()
        self._slots = asyncio.Semaphore(concurrency)

    @property
    def counts(self) -> Counter[str]:
        """What became of the messages so far; see :class:`~langgraph_integration.answering.Answers`."""
        return self._answers.counts

    async def handle(
        self,
        record: ConsumerRecord,
        on_start: Callable[[], None],
        hand_over: HandOver | None = None,
        *,
        on_answer: Callable[[], None] = lambda: None,
        delivery: Delivery | None = None,
    ) -> None:
        """Process a message, in a task of its own.

        When this returns, its result is stored by all in-sync replicas, or it needs none.

        A cancellation of this task, or a hand-over, leaves the request unanswered, to be delivered again.

        Args:
            on_start: called when its turn has come; until then nothing of it has been done.
            hand_over: asks its run to stop after the superstep that it is in.
            on_answer: called when its run has ended, before the result is published.
            delivery: tells how many workers the request has crashed, is told when its run begins, and is done with in one
                transaction with its result, where there are transactions; None: nobody is, or does.

        Raises:
            TransportError: the result can be published nowhere, and waiting will not help.
        """
        crash_guard: CrashGuard = delivery or UNGUARDED
        if self._signatures is not None and not self._signatures.admits(record, REQUEST_TYPES, topic=record.topic):
            # Not even a dead letter: whoever asked without a key would be answered in our name.
            on_start()
            self.counts["untrusted"] += 1
            return
        try:
            crashes = await crash_guard.crashes()
            if 0 < self._max_crashes <= crashes:
                raise poisoned(crashes, topic=self._settings.dead_letter_topic(record.topic))
            event = read_request(record.value, max_bytes=self._settings.max_read_bytes)
        except Refusal as refusal:
            on_start()
            on_answer()
            await self._answers.refuse(record, refusal, delivery)
            return
        if event.event_type not in REQUESTS:
            self.counts["ignored"] += 1
            return
        # The task's context is its own, so this needs no undoing.
        structlog.contextvars.bind_contextvars(correlation_id=str(event.event_id), workflow_id=event.workflow_id)
        with self._cancellations.watching(event) as cancellation, self._telling(event) as telling:
            if telling is not None and cancellation.asked is None:
                telling.accepted()
            try:
                async with self._turn(event, cancellation, crash_guard) as slot:
                    on_start()
                    supervision = Supervision(telling, cancellation, hand_over or HandOver())
                    result = await self._result(event, supervision, crash_guard)
                    cancellation.end()
                    on_answer()
                    await slot.aclose()  # another may run while this one is published
                    await self._answers.give(record, event, result, delivery)
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
            await self._answers.give(record, event, cancelled(event, cancellation.asked), delivery)

    @asynccontextmanager
    async def _turn(
        self, event: WorkflowEvent, cancellation: Cancellation, crash_guard: CrashGuard
    ) -> AsyncIterator[AsyncExitStack]:
        """Its turn of its id, of its thread, and of the slots; what is yielded holds the slot."""
        async with AsyncExitStack() as slot:
            if cancellation.asked is not None:
                yield slot  # nothing will run, so there is nothing to wait for
                return
            async with (
                self._requests.turn(str(event.event_id)),
                self._lanes.turn(thread_of(event)),
                crash_guard.trial(),
            ):
                await slot.enter_async_context(self._slots)
                yield slot

    def _telling(self, event: WorkflowEvent) -> AbstractContextManager[RequestProgress | None]:
        return nullcontext() if self._progress is None else self._progress.of(event)

    async def _result(
        self, event: WorkflowEvent, supervision: Supervision, crash_guard: CrashGuard
    ) -> WorkflowResultEvent:
        again = self._answers.again(event)
        if again is not None:
            return again
        if supervision.cancellation is None or supervision.cancellation.asked is None:
            await crash_guard.mark()
        return await self._runner.answer(event, supervision)
