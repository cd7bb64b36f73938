"""Facts for tests, as the processor reads them from messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from pydantic_core import to_json

from result_store.facts import DeadLetterFact, Fact, InvalidFact, Place, ProgressFact, RequestFact, ResultFact
from workflow_events.events import (
    ErrorDetail,
    EventSource,
    EventType,
    ResultStatus,
    WorkflowEvent,
    WorkflowEventMetadata,
    WorkflowEventPayload,
    WorkflowResultEvent,
)

START = datetime(2026, 3, 31, 23, 59, 50, tzinfo=UTC)


def uid(number: int) -> UUID:
    """An id that tells its number."""
    return UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | number)


def at(seconds: float) -> datetime:
    """Seconds after the tests' day began."""
    return START + timedelta(seconds=seconds)


def request(run: int, seconds: float = 0.0, *, batch: str = "batch", attempt: int = 1, **extras: Any) -> RequestFact:
    event = WorkflowEvent(
        event_id=uid(run),
        event_type=EventType.WORKFLOW_TRIGGERED,
        timestamp=at(seconds),
        source=EventSource.AIRFLOW,
        workflow_id=extras.pop("workflow_id", "score"),
        workflow_run_id=batch,
        payload=WorkflowEventPayload(data={"run": run}),
        metadata=WorkflowEventMetadata(**extras),
        attempt=attempt,
    )
    return RequestFact(event, to_json(event))


def progress(
    run: int,
    seconds: float,
    event_type: EventType = EventType.WORKFLOW_PROGRESS,
    *,
    batch: str = "batch",
    attempt: int = 1,
    number: int = 0,
    workflow_id: str = "score",
    **data: Any,
) -> ProgressFact:
    event = WorkflowEvent(
        event_id=uuid5(uid(run), f"{seconds} {number}"),
        event_type=event_type,
        timestamp=at(seconds),
        source=EventSource.LANGGRAPH,
        workflow_id=workflow_id,
        workflow_run_id=batch,
        payload=WorkflowEventPayload(data={"correlation_id": str(uid(run)), "worker": "w-1", **data}),
        attempt=attempt,
    )
    return ProgressFact(event, uid(run), to_json(event))


def accepted(run: int, seconds: float, **more: Any) -> ProgressFact:
    return progress(run, seconds, EventType.WORKFLOW_ACCEPTED, heartbeat_interval=5.0, **more)


def result(
    run: int,
    seconds: float,
    status: ResultStatus = ResultStatus.SUCCESS,
    *,
    batch: str = "batch",
    attempt: int | None = 1,
    node: str | None = None,
    answer: dict[str, Any] | None = None,
    workflow_id: str = "score",
    **more: Any,
) -> ResultFact:
    detail = None if node is None else ErrorDetail(type="builtins.ValueError", message="broken", node=node)
    event = WorkflowResultEvent(
        correlation_id=uid(run),
        workflow_id=workflow_id,
        workflow_run_id=batch,
        result={"answer": run} if answer is None else answer,
        status=status,
        timestamp=at(seconds),
        error=None if status is ResultStatus.SUCCESS else "it broke",
        error_detail=detail,
        attempt=attempt,
        **more,
    )
    return ResultFact(event, to_json(event))


def invalid(offset: int, seconds: float = 0.0, **more: Any) -> InvalidFact:
    fields: dict[str, Any] = {
        "place": Place("workflow-events", 0, offset),
        "error_type": "invalid-json",
        "error": "it is no JSON",
        "correlation_id": None,
        "key": b"\xff",
        "headers": (("a", b"\x00\xff"), ("b", None)),
        "value": b"\xff{",
        "size": 2,
        "timestamp": at(seconds),
    }
    return InvalidFact(**{**fields, **more})


def dead_letter(offset: int, seconds: float = 0.0) -> DeadLetterFact:
    return DeadLetterFact(
        Place("workflow-dead", 0, offset),
        "poison",
        "it broke",
        uid(offset),
        Place("workflow-events", 1, 7),
        12,
        at(seconds),
    )


def whole_run(run: int, seconds: float = 0.0, *, batch: str = "batch", **extras: Any) -> list[Fact]:
    """All that is told of a run that goes well."""
    names = {"batch": batch, "workflow_id": extras.get("workflow_id", "score")}
    return [
        request(run, seconds, batch=batch, **extras),
        accepted(run, seconds + 1, **names),
        progress(run, seconds + 2, kind="run_started", resumed=False, **names),
        progress(run, seconds + 3, kind="node_started", node="filter", step=1, **names),
        progress(run, seconds + 4, EventType.WORKFLOW_HEARTBEAT, node="filter", **names),
        progress(
            run,
            seconds + 5,
            kind="custom",
            node="filter",
            step=1,
            data={
                "step": {"input_count": 10, "output_count": 4, "kept": 4, "eliminated": 6, "tokens": 30, "cost": 0.5},
                "decisions": [
                    {"item": "a", "verdict": "kept", "score": 0.9},
                    {"item": "b", "verdict": "eliminated", "reason": "too small"},
                ],
            },
            **names,
        ),
        progress(run, seconds + 6, kind="node_finished", node="filter", step=1, duration_ms=3000.0, **names),
        result(
            run,
            seconds + 7,
            duration_ms=5000.0,
            usage={"input_tokens": 20, "output_tokens": 10, "total_tokens": 30},
            **names,
        ),
    ]
