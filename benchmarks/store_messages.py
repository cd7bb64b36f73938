"""What happens on the topics while many requests are worked on, as a worker's and a requester's messages tell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from confluent_kafka import Producer

from result_store.facts import TopicRole
from workflow_events import EventSource, EventType, WorkflowEvent, WorkflowResultEvent
from workflow_events.wire import about_message, request_message, result_message

if TYPE_CHECKING:
    from workflow_events import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["EVENTS_OF_A_REQUEST", "audit", "publish"]

EVENTS_OF_A_REQUEST = 6
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 50
"""Requests that are under way at a time: their messages lie between each other's."""
_BATCH = 20
"""Requests of one ``workflow_run_id``."""


def audit(kafka: KafkaSettings, requests: int) -> Iterator[tuple[TopicRole, OutgoingMessage]]:
    """All messages of so many requests: requested, accepted, begun, two nodes finished, answered with about 500 bytes."""
    for first in range(0, requests, _AT_ONCE):
        some = [_of_one(kafka, number) for number in range(first, min(first + _AT_ONCE, requests))]
        for messages in zip(*some, strict=True):
            yield from messages


def _of_one(kafka: KafkaSettings, number: int) -> list[tuple[TopicRole, OutgoingMessage]]:
    at = _BEGIN + timedelta(milliseconds=number * 50)
    common: dict[str, Any] = {"workflow_id": f"flow-{number % 5}", "workflow_run_id": f"run-{number // _BATCH}"}
    request = WorkflowEvent(
        event_id=_id(number, 0),
        event_type=EventType.WORKFLOW_TRIGGERED,
        timestamp=at,
        source=EventSource.AIRFLOW,
        payload={"data": {"question": "x" * 200, "number": number}},
        metadata={"environment": "prod", "user_id": f"user-{number % 50}"},
        deadline=at + timedelta(minutes=5),
        **common,
    )
    told: list[tuple[EventType, dict[str, Any]]] = [
        (EventType.WORKFLOW_ACCEPTED, {"heartbeat_interval": 5.0}),
        (EventType.WORKFLOW_PROGRESS, {"kind": "run_started"}),
        (EventType.WORKFLOW_PROGRESS, {"kind": "node_finished", "node": "retrieve", "step": 1, "duration_ms": 12.5}),
        (EventType.WORKFLOW_PROGRESS, {"kind": "node_finished", "node": "answer", "step": 2, "duration_ms": 830.0}),
    ]
    progress = [
        WorkflowEvent(
            event_id=_id(number, place),
            event_type=kind,
            timestamp=at + timedelta(seconds=place),
            source=EventSource.LANGGRAPH,
            payload={"data": {"correlation_id": str(request.event_id), "worker": "worker-1", **data}},
            **common,
        )
        for place, (kind, data) in enumerate(told, start=1)
    ]
    result = WorkflowResultEvent(
        correlation_id=request.event_id,
        result={"text": "x" * 300, "number": number},
        timestamp=at + timedelta(seconds=5),
        duration_ms=842.5,
        usage={"input_tokens": 1200, "output_tokens": 80, "total_tokens": 1280},
        **common,
    )
    return [
        (TopicRole.REQUESTS, request_message(request, topic=kafka.workflow_events_topic)),
        *(
            (
                TopicRole.PROGRESS,
                about_message(event, topic=kafka.workflow_progress_topic, correlation_id=request.event_id),
            )
            for event in progress
        ),
        (TopicRole.RESULTS, result_message(result, topic=kafka.workflow_results_topic)),
    ]


def _id(number: int, place: int) -> UUID:
    # As many as there are, spread as UUIDv7s of one stretch of time are: close together.
    return UUID(int=(0x0198_0000_0000 << 80) | (7 << 76) | (2 << 62) | (number << 8) | place)


def publish(kafka: KafkaSettings, messages: Iterable[OutgoingMessage]) -> None:
    """Publish each message to its topic, by librdkafka.

    Those of some requests are stored before those of the next are sent: at most so many are under way at a time, as their
    workers allow, and the brokers' time tells them apart.
    """
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 1})
    for number, message in enumerate(messages, start=1):
        producer.produce(message.topic, message.value, message.key, headers=[*message.headers])
        if number % (_AT_ONCE * EVENTS_OF_A_REQUEST) == 0:
            _flush(producer)
    _flush(producer)


def _flush(producer: Producer) -> None:
    assert producer.flush(300) == 0, "not all messages were stored"
