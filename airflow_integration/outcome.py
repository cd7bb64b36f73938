"""What a workflow's result means to an Airflow task: a value for XCom, or an error. Sync and deferred tasks both ask here.

Pure: no Kafka client, no context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from workflow_events.errors import WorkflowResultError
from workflow_events.events import ResultStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.events import WorkflowResultEvent

__all__ = ["WorkflowTaskError", "WorkflowTaskFailError", "explain", "is_worth_a_retry", "value_of"]


class WorkflowTaskError(AirflowException):
    """The workflow answered, and not with a success. The task may be retried.

    Its ``__cause__`` is the :class:`~workflow_events.errors.WorkflowResultError` with the whole event; of many requests, that
    of the first that failed.

    Attributes:
        error_type: the remote error's type, or the result's status where it has none.
        error_message: the remote error's message.
        results: where many were asked, every answer that came, in order; None for those that did not. Else empty.
    """

    def __init__(
        self,
        message: str,
        error_type: str = "",
        error_message: str = "",
        results: Sequence[WorkflowResultEvent | None] = (),
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.error_message = error_message
        self.results = list(results)


class WorkflowTaskFailError(WorkflowTaskError, AirflowFailException):
    """The workflow answered, not with a success, and asking again would not help: Airflow does not retry."""


def value_of(event: WorkflowResultEvent) -> dict[str, Any]:
    """The task's value.

    Raises:
        WorkflowTaskError: any other status than ``success``, and a retry may help.
        WorkflowTaskFailError: the same, and a retry would not help.
    """
    try:
        return dict(event.raise_for_status().result)
    except WorkflowResultError as error:
        kind = WorkflowTaskError if is_worth_a_retry(error) else WorkflowTaskFailError
        raise kind(explain(error), error.error_type, error.error_message) from error


def is_worth_a_retry(error: WorkflowResultError) -> bool:
    """Whether Airflow should spend a retry on it. The worker's own judgement goes first."""
    if error.event.status is ResultStatus.INTERRUPTED:
        return False  # the same question would be asked again
    if error.retryable is not None:
        return error.retryable
    return error.event.status is not ResultStatus.CANCELLED  # somebody stopped it on purpose


def explain(error: WorkflowResultError) -> str:
    """What happened, for who reads the task's log."""
    event = error.event
    if event.status is not ResultStatus.INTERRUPTED:
        return str(error)
    questions = "; ".join(str(question.get("value", question)) for question in event.interrupts or ())
    return (
        f"{error}. It stopped at an interrupt() and cannot go on without an answer"
        f"{f': {questions}' if questions else ''}. This task cannot give one; resume thread "
        f"{event.thread_id or event.correlation_id} with a request of its own."
    )
