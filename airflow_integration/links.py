"""The link from a task to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["WorkflowRunLink"]


class WorkflowRunLink(BaseOperatorLink):
    """Leads to the run that answers the task's request, where ``[workflow_events] run_url`` says where that is.

    Airflow asks for it in the worker, once the task has run or deferred, and keeps the answer.
    """

    name = "Workflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """The run's address; an empty text where none is configured, or nothing was asked for."""
        return getattr(operator, "run_link", "")
