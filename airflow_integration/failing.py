"""What it means to Airflow that a request could not be made, or its result not be had: whether a retry may help.

The workflow's own answers are judged in :mod:`airflow_integration.outcome`. Pure: no Kafka client, no context.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from workflow_events.errors import (
    ClaimCheckError,
    ConfigurationError,
    DeliveryError,
    TransportError,
    WorkflowEventsError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WorkflowRequestFailError", "may_pass", "told_to_airflow"]


class WorkflowRequestFailError(AirflowFailException):
    """The request could not be made, or its result not be had, until somebody changes something: Airflow does not retry.

    Its ``__cause__`` is the error of ours.

    Attributes:
        error_type: that error's name, such as ``"AccessDeniedError"``.
    """

    def __init__(self, message: str, error_type: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type


def may_pass(error: WorkflowEventsError) -> bool:
    """Whether the same task may succeed later without anybody changing anything.

    A publish that was not confirmed may: asking again under the same id asks for the same work.
    """
    if isinstance(error, DeliveryError):
        return True
    if isinstance(error, TransportError | ClaimCheckError):
        return error.retryable
    return not isinstance(error, ConfigurationError)


@contextmanager
def told_to_airflow() -> Iterator[None]:
    """While the block lasts, or the decorated function, errors of ours that will not pass become Airflow's fail exception.

    Raises:
        WorkflowRequestFailError: in the place of one of these; all others go on as they are, and Airflow retries the task.
    """
    try:
        yield
    except WorkflowEventsError as error:
        if may_pass(error):
            raise
        name = type(error).__name__
        raise WorkflowRequestFailError(f"{name}: {error} A retry would end alike, so there is none.", name) from error
