"""A made-up history of many requests, the same each time: what requesters, workers and graphs would have published."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from workflow_events import EventType, KafkaSettings, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.wire import OutgoingMessage

__all__ = ["EVENTS_PER_REQUEST", "history"]

EVENTS_PER_REQUEST = 8
_BEGIN = datetime(2026, 10, 31, 12, tzinfo=UTC)
_STATUSES = ("success", "success", "success", "failure", "error", "interrupted", "cancelled")


def history(settings: KafkaSettings, events: int, *, seed: int = 5) -> list[OutgoingMessage]:
    """So many messages, all different, in the order of their times.

    One request in eight is asked again: its first attempt ended with an error, and the second one's result may come to be read
    before it.
    """
    chance = random.Random(seed)
    made: list[OutgoingMessage] = []
    number = 0
    while len(made) < events:
        made += _request(settings, number, chance)
        number += 1
    return made[:events]


def _request(settings: KafkaSettings, number: int, chance: random.Random) -> Iterator[OutgoingMessage]:
    about = uuid.UUID(int=chance.getrandbits(128), version=4)
    at = _BEGIN + timedelta(seconds=37 * number)
    names: dict[str, Any] = {"workflow_id": f"workflow-{number % 7}", "workflow_run_id": f"batch-{number // 50}"}
    again = number % EVENTS_PER_REQUEST == 0

    def event(kind: str, attempt: int, seconds: float, data: dict[str, Any], **fields: Any) -> WorkflowEvent:
        return WorkflowEvent(
            **{"event_id": uuid.UUID(int=chance.getrandbits(128), version=4), **names, **fields},
            event_type=kind,
            source="airflow" if kind == EventType.WORKFLOW_TRIGGERED else "langgraph",
            timestamp=at + timedelta(seconds=60 * (attempt - 1) + seconds),
            attempt=attempt,
            payload={"data": data},
        )

    def tell(event_type: str, attempt: int, seconds: float, **data: Any) -> OutgoingMessage:
        told = {"correlation_id": str(about), "worker": f"worker-{number % 3}", **data}
        return wire.about_message(
            event(event_type, attempt, seconds, told), topic=settings.workflow_progress_topic, correlation_id=about
        )

    for attempt in (1, 2) if again else (1,):
        asked = event(
            EventType.WORKFLOW_TRIGGERED,
            attempt,
            0,
            {"text": "x" * chance.randrange(50, 400)},
            event_id=about,
            metadata={"environment": "prod", "user_id": f"user-{number % 11}", "tenant_id": f"tenant-{number % 3}"},
        )
        yield wire.request_message(asked, topic=settings.workflow_events_topic)
        yield tell(EventType.WORKFLOW_ACCEPTED, attempt, 1, heartbeat_interval=5.0)
        yield tell(EventType.WORKFLOW_PROGRESS, attempt, 2, kind="run_started", resumed=attempt > 1)
        yield tell(EventType.WORKFLOW_PROGRESS, attempt, 3, kind="node_started", node="score", step=1)
        step = {"input_count": 10 + number % 5, "output_count": number % 5, "eliminated": 10, "tokens": number % 100}
        decision = {"item": f"item-{number}", "verdict": "eliminated", "score": number / 7, "reason": "too small"}
        said = {"step": step, "decisions": [decision]}
        yield tell(EventType.WORKFLOW_PROGRESS, attempt, 4, kind="custom", node="score", step=1, data=said)
        yield tell(EventType.WORKFLOW_HEARTBEAT, attempt, 5, node="score")
        yield tell(
            EventType.WORKFLOW_PROGRESS,
            attempt,
            6,
            kind="node_finished",
            node="score",
            step=1,
            duration_ms=number % 999,
        )
        status = "error" if again and attempt == 1 else chance.choice(_STATUSES)
        failed = status in {"failure", "error"}
        result = WorkflowResultEvent(
            correlation_id=about,
            **names,
            status=status,
            result={"answer": number, "execution": {"stdout": "done\n", "exit_code": 0, "duration_ms": 12.5}},
            error="it broke" if failed else None,
            error_detail={"type": "ValueError", "message": "it broke", "node": "score"} if failed else None,
            attempt=attempt,
            usage={"input_tokens": number % 50, "output_tokens": 7, "cost": 0.25},
            duration_ms=1000.0 + number,
            timestamp=at + timedelta(seconds=60 * (attempt - 1) + 7),
        )
        yield wire.result_message(result, topic=settings.workflow_results_topic)
