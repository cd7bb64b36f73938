"""Requests, progress and results, as anyone who may write to a topic can make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from workflow_events import (
    EventType,
    KafkaSettings,
    PendingRequest,
    WorkflowEvent,
    WorkflowEventPayload,
    WorkflowResultEvent,
    wire,
)
from workflow_events.wire import OutgoingMessage, ReturnAddress


def request(settings: KafkaSettings, data: dict[str, Any], **fields: Any) -> OutgoingMessage:
    event = WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="add",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data),
        **fields,
    )
    return wire.request_message(
        event, topic=settings.workflow_events_topic, reply_to=ReturnAddress(settings.workflow_results_topic)
    )


def progress(settings: KafkaSettings, pending: PendingRequest, event_type: EventType) -> OutgoingMessage:
    about = {"correlation_id": str(pending.correlation_id), "worker": "w-1"}
    event = WorkflowEvent(
        event_type=event_type,
        source="langgraph",
        workflow_id=pending.workflow_id,
        workflow_run_id=pending.workflow_run_id,
        payload=WorkflowEventPayload(data=about),
        attempt=pending.attempt,
    )
    return wire.about_message(event, topic=settings.workflow_progress_topic, correlation_id=pending.correlation_id)


def result(settings: KafkaSettings, correlation_id: UUID, data: dict[str, Any], **fields: Any) -> OutgoingMessage:
    event = WorkflowResultEvent(
        correlation_id=correlation_id, workflow_id="add", workflow_run_id="r", result=data, **fields
    )
    return wire.result_message(event, topic=settings.workflow_results_topic)
