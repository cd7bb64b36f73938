"""Requests and results, as anyone who may write to a topic can make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from workflow_events import EventType, KafkaSettings, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent, wire
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


def result(settings: KafkaSettings, correlation_id: UUID, data: dict[str, Any], **fields: Any) -> OutgoingMessage:
    event = WorkflowResultEvent(
        correlation_id=correlation_id, workflow_id="add", workflow_run_id="r", result=data, **fields
    )
    return wire.result_message(event, topic=settings.workflow_results_topic)
