"""Messages as requesters and workers publish them, for the page to show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from workflow_events.dead_letters import DeadLetterReason, letter_message
from workflow_events.events import (
    ErrorCause,
    ErrorDetail,
    EventSource,
    EventType,
    ResultStatus,
    WorkflowEvent,
    WorkflowEventMetadata,
    WorkflowEventPayload,
    WorkflowResultEvent,
)
from workflow_events.identifiers import new_event_id
from workflow_events.settings import KafkaSettings
from workflow_events.transport import blocking
from workflow_events.wire import OutgoingMessage, about_message, request_message, result_message

WORKER = "worker-7c9f:4121:9af3"
BEAT = 5.0


@dataclass
class Run:
    """What is told of one request. Times are seconds after it was asked for."""

    at: datetime
    workflow: str = "dependency_audit"
    batch: str = "manual__2026-11-22T12:00:00+00:00"
    user: str | None = None
    timeout: float = 900.0
    attempt: int = 1
    correlation_id: UUID = field(default_factory=new_event_id)

    def request(self, settings: KafkaSettings, **data: Any) -> OutgoingMessage:
        event = WorkflowEvent(
            event_id=self.correlation_id,
            event_type=EventType.WORKFLOW_TRIGGERED,
            timestamp=self.at,
            source=EventSource.AIRFLOW,
            workflow_id=self.workflow,
            workflow_run_id=self.batch,
            payload=WorkflowEventPayload(data=data),
            metadata=WorkflowEventMetadata(**({"user_id": self.user} if self.user else {})),
            deadline=self.at + timedelta(seconds=self.timeout),
            attempt=self.attempt,
        )
        return request_message(event, topic=settings.workflow_events_topic)

    def accepted(self, settings: KafkaSettings, after: float) -> OutgoingMessage:
        return self._about(settings, after, EventType.WORKFLOW_ACCEPTED, heartbeat_interval=BEAT)

    def progress(self, settings: KafkaSettings, after: float, kind: str, **data: Any) -> OutgoingMessage:
        return self._about(settings, after, EventType.WORKFLOW_PROGRESS, kind=kind, **data)

    def heartbeat(self, settings: KafkaSettings, after: float, node: str | None) -> OutgoingMessage:
        return self._about(settings, after, EventType.WORKFLOW_HEARTBEAT, node=node, heartbeat_interval=BEAT)

    def _about(self, settings: KafkaSettings, after: float, event_type: EventType, **data: Any) -> OutgoingMessage:
        event = WorkflowEvent(
            event_type=event_type,
            timestamp=self.at + timedelta(seconds=after),
            source=EventSource.LANGGRAPH,
            workflow_id=self.workflow,
            workflow_run_id=self.batch,
            payload=WorkflowEventPayload(data={"correlation_id": str(self.correlation_id), "worker": WORKER, **data}),
            attempt=self.attempt,
        )
        return about_message(event, topic=settings.workflow_progress_topic, correlation_id=self.correlation_id)

    def result(
        self,
        settings: KafkaSettings,
        after: float,
        result: dict[str, Any] | None = None,
        *,
        status: ResultStatus = ResultStatus.SUCCESS,
        error: str | None = None,
        **more: Any,
    ) -> OutgoingMessage:
        detail = None
        if error is not None and status is ResultStatus.ERROR:
            detail = ErrorDetail(
                type="httpx.HTTPStatusError",
                message=error,
                node=more.pop("node", "maintenance"),
                retryable=True,
                causes=(ErrorCause(type="httpx.ConnectError", message="connection refused"),),
            )
        event = WorkflowResultEvent(
            correlation_id=self.correlation_id,
            workflow_id=self.workflow,
            workflow_run_id=self.batch,
            result=result or {},
            status=status,
            timestamp=self.at + timedelta(seconds=after),
            error=error,
            error_detail=detail,
            attempt=self.attempt,
            duration_ms=max(0.0, after - 0.4) * 1000,
            **more,
        )
        return result_message(event, topic=settings.workflow_results_topic)

    def nodes(self, settings: KafkaSettings, *steps: tuple[str, float, float]) -> Iterator[OutgoingMessage]:
        """Nodes with when they begin and how long they take, in seconds; one superstep for each."""
        for number, (node, begin, took) in enumerate(steps, start=1):
            yield self.progress(settings, begin, "node_started", node=node, step=number)
            ended = {"node": node, "step": number, "duration_ms": took * 1000}
            yield self.progress(settings, begin + took, "node_finished", **ended)


@dataclass(frozen=True)
class _Lying:
    """A message of the topic of requests, as a consumer gives it."""

    topic: str
    value: bytes
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int = 0
    offset: int = 7
    timestamp: int = 1_795_000_000_000


def dead_letter(
    settings: KafkaSettings, about: OutgoingMessage, reason: str, code: DeadLetterReason = DeadLetterReason.WRONG_SCHEMA
) -> OutgoingMessage:
    """What a worker publishes of a request that it gives up."""
    record = _Lying(about.topic, about.value, about.key, [*about.headers])
    return letter_message(record, code, reason, topic=settings.dead_letter_topic(about.topic))


def publish(settings: KafkaSettings, messages: Iterable[OutgoingMessage]) -> None:
    """Publish messages, in their order where they share a topic."""
    producer = blocking.new_producer(settings)
    try:
        blocking.send_all(producer, messages, 60.0)
    finally:
        producer.close()
