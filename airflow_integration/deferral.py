"""How a task is deferred until a request's result is there. Operator and sensor share it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow_integration import options
from airflow_integration.settling import TaskProcess

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from workflow_events.pending import PendingRequest

__all__ = ["defer_until_result"]

_GRACE_SECONDS = 600.0
"""How long after the deadline Airflow itself gives the trigger up. The trigger ends at the deadline; this is for the case that
no triggerer has run since, and leaves a new one the time to find a result that came in time."""


def defer_until_result(
    task: BaseOperator, pending: PendingRequest, *, conn_id: str, inline_result_limit: int | None, method_name: str
) -> NoReturn:
    """Free the worker slot until the result is there, or the deadline has come.

    Raises:
        TaskDeferred: always.
    """
    from airflow_integration.trigger import WorkflowResultTrigger  # noqa: PLC0415 - Airflow's server side, not for parsing

    limit = options.inline_result_limit() if inline_result_limit is None else inline_result_limit
    trigger = WorkflowResultTrigger(
        pending=pending.to_json(),
        workflow_events_conn_id=conn_id,
        inline_result_limit=limit,
        settle={
            "interval": options.heartbeat_interval(),
            "margin": options.settle_margin(),
            "process": TaskProcess.current().to_json(),
        },
    )
    task.defer(
        trigger=trigger,
        method_name=method_name,
        timeout=timedelta(seconds=max(0.0, pending.remaining()) + _GRACE_SECONDS),
    )
