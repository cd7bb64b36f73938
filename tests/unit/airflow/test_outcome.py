from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_integration.outcome import WorkflowTaskError, WorkflowTaskFailError, value_of
from workflow_events.errors import WorkflowResultError
from workflow_events.events import ErrorDetail, ResultStatus, WorkflowResultEvent
from workflow_events.identifiers import new_event_id


def result(status: str, *, retryable: bool | None = None, typed: bool = True, **fields: Any) -> WorkflowResultEvent:
    detail = ErrorDetail(type="graphs.PriceError", message="no price", retryable=retryable) if typed else None
    return WorkflowResultEvent(
        correlation_id=new_event_id(),
        workflow_id="review",
        workflow_run_id="run-1",
        status=ResultStatus(status),
        error="no price",
        error_detail=detail,
        **fields,
    )


def test_a_success_is_the_result_itself() -> None:
    event = WorkflowResultEvent(
        correlation_id=new_event_id(), workflow_id="w", workflow_run_id="r", result={"a": [1, {"b": None}]}
    )

    assert value_of(event) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    "status, retryable, kind",
    [
        ("failure", None, WorkflowTaskError),
        ("failure", True, WorkflowTaskError),
        ("failure", False, WorkflowTaskFailError),
        ("error", None, WorkflowTaskError),
        ("error", True, WorkflowTaskError),
        ("error", False, WorkflowTaskFailError),
        ("cancelled", None, WorkflowTaskFailError),
        ("cancelled", True, WorkflowTaskError),
        ("interrupted", None, WorkflowTaskFailError),
        ("interrupted", True, WorkflowTaskFailError),
    ],
)
def test_the_workers_judgement_decides_on_a_retry_and_else_the_status(
    *, status: str, retryable: bool | None, kind: type[WorkflowTaskError]
) -> None:
    with pytest.raises(AirflowException) as caught:
        value_of(result(status, retryable=retryable))

    assert type(caught.value) is kind
    assert issubclass(kind, AirflowFailException) == (kind is WorkflowTaskFailError)


@pytest.mark.parametrize("status", ["failure", "error", "cancelled"])
def test_the_error_says_the_remote_errors_type_and_message_and_which_request_it_was(status: str) -> None:
    event = result(status)

    with pytest.raises(WorkflowTaskError) as caught:
        value_of(event)

    message = str(caught.value)
    assert "graphs.PriceError: no price" in message
    assert str(event.correlation_id) in message
    assert "'review'" in message
    assert (caught.value.error_type, caught.value.error_message) == ("graphs.PriceError", "no price")
    assert isinstance(caught.value.__cause__, WorkflowResultError)
    assert caught.value.__cause__.event is event


def test_a_foreign_workers_bare_error_is_told_as_well() -> None:
    with pytest.raises(WorkflowTaskError, match="no price") as caught:
        value_of(result("error", typed=False))

    assert caught.value.error_type == "error"


def test_an_interrupted_run_says_its_questions_and_that_this_task_cannot_answer() -> None:
    event = result("interrupted", typed=False, thread_id="thread-7", interrupts=[{"id": "1", "value": "Ship it?"}])

    with pytest.raises(WorkflowTaskFailError, match=r"Ship it\?.*resume thread thread-7"):
        value_of(event)


def test_all_questions_of_an_interrupted_run_are_said_and_none_is_made_up() -> None:
    two = result("interrupted", typed=False, interrupts=[{"id": "1", "value": "Ship it?"}, {"question": "When?"}])
    with pytest.raises(WorkflowTaskFailError) as caught:
        value_of(two)
    assert "without an answer: Ship it?; {'question': 'When?'}. This task" in str(caught.value)
    assert f"resume thread {two.correlation_id}" in str(caught.value)

    with pytest.raises(WorkflowTaskFailError, match=r"without an answer\. This task"):
        value_of(result("interrupted", typed=False))


def test_an_error_without_a_remote_one_names_none() -> None:
    error = WorkflowTaskError("it broke")

    assert (str(error), error.error_type, error.error_message, error.results) == ("it broke", "", "", [])
