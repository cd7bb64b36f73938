"""How a message ends: its sender is answered, or it goes to the dead letters, or both."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from langgraph_integration.dead_letters import Refusal, answer_to_invalid, dead_letter
from langgraph_integration.errors import InvalidRequestError, UnknownGraphError
from langgraph_integration.publishing import Publisher, UndeliverableError
from langgraph_integration.recent_answers import RecentAnswers
from workflow_events.dead_letters import DeadLetterReason
from workflow_events.wire import return_address_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.deliveries import Delivery
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["Answers"]

log = logging.getLogger(__name__)


class Answers:
    """Publishes results, refusals and dead letters.

    Args:
        publisher: does it.
        settings: name the dead-letter topic.
        choose: finds a request's graph, and raises where it is not here.

    Attributes:
        counts: what became of the messages so far: ``answered``, ``ignored`` (an event that is no request), ``untrusted`` (not
            signed with one of our keys), and by its reason what became a dead letter, whether or not somebody was told.
    """

    def __init__(
        self, publisher: Publisher, settings: KafkaSettings, choose: Callable[[WorkflowEvent], object]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._publisher = publisher
        self._settings = settings
        self._choose = choose
        self._recent = RecentAnswers()

    def again(self, event: WorkflowEvent) -> WorkflowResultEvent | None:
        """The answer that a request has had before, where no checkpoint remembers it and this worker does."""
        return self._recent.to(event)

    async def give(
        self,
        record: ConsumerRecord,
        event: WorkflowEvent,
        result: WorkflowResultEvent,
        delivery: Delivery | None = None,
    ) -> None:
        """Answer a request.

        A request for a graph that is not here becomes a dead letter too: it can be replayed once the graph is.

        Args:
            delivery: of the request, to be done with in one transaction with its answer; None: its owner sees to that.

        Raises:
            TransportError: the result can be published nowhere, and waiting will not help.
        """
        buried = await self._bury_unknown(record, event)
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
            size = await self._publisher.publish_result(result, return_address_in(record.headers), answers=delivery)
        except UndeliverableError as error:
            if buried:  # one letter for a message is enough
                log.warning("The refusal of request %s cannot be delivered: %s", event.event_id, error)
                return
            refusal = Refusal(DeadLetterReason.UNDELIVERABLE, InvalidRequestError(str(error)))
            await self._bury(record, refusal.with_traceback(error.__traceback__))
            return
        self._recent.keep(result, size)
        if not buried:
            self.counts["answered"] += 1

    async def refuse(self, record: ConsumerRecord, refusal: Refusal, delivery: Delivery | None = None) -> None:
        """Give a message up, and tell its sender where its id can be read."""
        await self._bury(record, refusal)
        answer = answer_to_invalid(record, refusal, max_bytes=self._settings.max_read_bytes)
        if answer is None:
            return
        try:
            await self._publisher.publish_result(answer, return_address_in(record.headers), answers=delivery)
        except UndeliverableError as error:
            log.warning("The refusal of request %s cannot be delivered: %s", answer.correlation_id, error)

    async def _bury_unknown(self, record: ConsumerRecord, event: WorkflowEvent) -> bool:
        try:
            self._choose(event)
        except UnknownGraphError as error:
            refusal = Refusal(DeadLetterReason.UNKNOWN_GRAPH, error).with_traceback(error.__traceback__)
            await self._bury(record, refusal)
            return True
        return False

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
