"""What a worker does with one message: leave it, refuse it, or run it, and answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from langgraph_integration.dead_letters import answer_to_invalid, dead_letter
from langgraph_integration.execution import GraphRunner, thread_of
from langgraph_integration.publishing import Publisher, UndeliverableError
from langgraph_integration.thread_lanes import ThreadLanes
from workflow_events.errors import InvalidEventError
from workflow_events.events import EventType, WorkflowEvent, WorkflowResultEvent
from workflow_events.signing import REQUEST_TYPES, Signatures
from workflow_events.wire import decode_event, return_address_in

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from workflow_events.settings import KafkaSettings

__all__ = ["RequestHandler"]

log = logging.getLogger(__name__)


class RequestHandler:
    """Sees each message through to the point where its offset may be committed.

    Args:
        runner: runs the graphs.
        publisher: publishes the answers.
        settings: name the dead-letter topic.
        concurrency: runs at the same time. Those of one thread come one after another, in the order of their messages.
    """

    def __init__(self, runner: GraphRunner, publisher: Publisher, settings: KafkaSettings, *, concurrency: int) -> None:
        self._runner = runner
        self._publisher = publisher
        self._settings = settings
        self._signatures = Signatures.of(settings)
        self._lanes = ThreadLanes()
        self._slots = asyncio.Semaphore(concurrency)

    async def handle(self, record: ConsumerRecord, on_start: Callable[[], None]) -> None:
        """Process a message, in a task of its own.

        When this returns, its result is stored by all in-sync replicas, or it needs none.

        A cancellation leaves the request unanswered, to be delivered again.

        Args:
            on_start: called when its turn has come; until then nothing of it has been done.

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
        if event.event_type != EventType.WORKFLOW_TRIGGERED:
            return
        async with self._lanes.turn(thread_of(event)), self._slots:
            on_start()
            # The task's context is its own, so this needs no undoing.
            structlog.contextvars.bind_contextvars(correlation_id=str(event.event_id), workflow_id=event.workflow_id)
            result = await self._runner.answer(event)
            await self._answer(record, event, result)

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
            await self._publisher.publish_result(result, return_address_in(record.headers))
        except UndeliverableError as error:
            await self._bury(record, str(error))

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
