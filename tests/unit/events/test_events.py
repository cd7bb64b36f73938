"""The events: strict in what they know, lenient where the contract grows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from workflow_events import (
    ErrorDetail,
    EventSource,
    EventType,
    ResultStatus,
    WorkflowCancelledError,
    WorkflowErroredError,
    WorkflowEvent,
    WorkflowFailedError,
    WorkflowInterruptedError,
    WorkflowResultEvent,
)

REQUEST = {
    "event_id": "0190a1b2-0000-7000-8000-000000000001",
    "event_type": "workflow.triggered",
    "timestamp": "2026-11-21T10:00:00Z",
    "source": "airflow",
    "workflow_id": "summarise",
    "workflow_run_id": "run-1",
    "payload": {"data": {"text": "hello"}},
    "metadata": {"environment": "prod", "version": "1.0"},
}
RESULT = {
    "correlation_id": "0190a1b2-0000-7000-8000-000000000001",
    "workflow_id": "summarise",
    "workflow_run_id": "run-1",
    "result": {"summary": "h"},
    "status": "success",
    "timestamp": "2026-11-21T10:00:01.123456789+02:00",
    "error": None,
}


def test_a_request_of_the_bare_contract_is_read() -> None:
    event = WorkflowEvent.model_validate(REQUEST)
    assert event.event_id == UUID("0190a1b2-0000-7000-8000-000000000001")
    assert event.event_type is EventType.WORKFLOW_TRIGGERED
    assert event.source is EventSource.AIRFLOW
    assert event.payload.data == {"text": "hello"}
    assert (event.attempt, event.deadline, event.thread_id) == (1, None, None)


def test_a_result_of_the_bare_contract_is_read() -> None:
    result = WorkflowResultEvent.model_validate(RESULT)
    assert result.status is ResultStatus.SUCCESS
    assert result.attempt is None
    assert result.raise_for_status() is result


def test_unknown_fields_types_and_sources_are_no_obstacle() -> None:
    event = WorkflowEvent.model_validate(
        {**REQUEST, "event_type": "workflow.paused", "source": "n8n", "colour": "red", "metadata": {"user_id": "u1"}}
    )
    assert event.event_type == "workflow.paused"
    assert event.source == "n8n"
    assert not hasattr(event, "colour")
    assert event.metadata.model_extra == {"user_id": "u1"}


def test_ids_made_here_are_version_7_and_times_are_aware() -> None:
    event = WorkflowEvent(event_type=EventType.WORKFLOW_RESULT, source="x", workflow_id="w", workflow_run_id="r")
    assert event.event_id.version == 7
    assert event.timestamp.tzinfo is UTC


@pytest.mark.parametrize(
    "field,value",
    [
        ("event_id", "not-an-id"),
        ("timestamp", "2026-11-21T10:00:00"),
        ("workflow_id", ""),
        ("event_type", ""),
        ("attempt", 0),
        ("payload", {"data": [1]}),
        ("metadata", {"environment": "moon"}),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkflowEvent.model_validate({**REQUEST, field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize("field", ["correlation_id", "workflow_id", "workflow_run_id"])
def test_a_result_without_what_names_it_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        WorkflowResultEvent.model_validate({name: value for name, value in RESULT.items() if name != field})


def test_events_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        WorkflowEvent.model_validate(REQUEST).attempt = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "status,kind",
    [
        ("failure", WorkflowFailedError),
        ("error", WorkflowErroredError),
        ("cancelled", WorkflowCancelledError),
        ("interrupted", WorkflowInterruptedError),
    ],
)
def test_raise_for_status_raises_what_the_status_says(status: str, kind: type[Exception]) -> None:
    detail = ErrorDetail(type="builtins.ValueError", message="no text", node="read", retryable=False)
    result = WorkflowResultEvent(
        correlation_id=uuid4(),
        workflow_id="summarise",
        workflow_run_id="run-1",
        status=ResultStatus(status),
        error="no text",
        error_detail=detail,
    )
    with pytest.raises(kind) as caught:
        result.raise_for_status()
    error = caught.value
    for said in ("summarise", "builtins.ValueError", "no text", "read", str(result.correlation_id)):
        assert said in str(error)
    assert (error.error_type, error.error_message, error.retryable) == ("builtins.ValueError", "no text", False)  # type: ignore[attr-defined]


def test_a_result_error_without_details_still_says_something() -> None:
    result = WorkflowResultEvent(
        correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", status=ResultStatus.ERROR
    )
    with pytest.raises(WorkflowErroredError, match="no message was given") as caught:
        result.raise_for_status()
    assert (caught.value.error_type, caught.value.retryable) == ("error", None)


def test_json_round_trips() -> None:
    event = WorkflowEvent.model_validate({**REQUEST, "deadline": datetime(2026, 12, 1, tzinfo=UTC), "thread_id": "t"})
    assert WorkflowEvent.model_validate_json(event.model_dump_json()) == event
    assert json.loads(event.model_dump_json())["event_type"] == "workflow.triggered"
