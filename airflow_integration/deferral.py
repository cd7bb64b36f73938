"""How a task is deferred until the results of its requests are there. Operator and sensor share it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_integration import options
from airflow_integration.batch import pack
from airflow_integration.settling import TaskProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import BaseOperator

    from airflow_integration.settled_trigger import SettledTrigger, SettleOptions
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.gathering import WaitFor

__all__ = ["defer_until_gathered", "defer_until_result"]

_GRACE_SECONDS = 600.0
"""How long after the deadline Airflow itself gives the trigger up. The trigger ends at the deadline; this is for the case that
no triggerer has run since, and leaves a new one the time to find a result that came in time."""


def defer_until_result(
    task: BaseOperator,
    pending: PendingRequest,
    *,
    conn_id: str,
    inline_result_limit: int | None,
    method_name: str,
    kwargs: dict[str, Any] | None = None,
    cancel_on_kill: bool = True,
    show_progress: bool = True,
) -> NoReturn:
    """Free the worker slot until the result is there, or the deadline has come.

    Args:
        kwargs: what ``method_name`` is called with, beside the trigger's event.
        cancel_on_kill: whether the run is stopped when the task is killed.
        show_progress: whether the task's log tells of the run meanwhile.

    Raises:
        TaskDeferred: always.
    """
    from airflow_integration.trigger import WorkflowResultTrigger  # noqa: PLC0415 - Airflow's server side, not for parsing

    trigger = WorkflowResultTrigger(
        pending=pending.to_json(),
        workflow_events_conn_id=conn_id,
        inline_result_limit=_limit(inline_result_limit),
        settle=_settle(),
        cancel_on_kill=cancel_on_kill,
        show_progress=show_progress,
    )
    _defer(task, trigger, pending, method_name, kwargs)


def defer_until_gathered(
    task: BaseOperator,
    requests: Sequence[PendingRequest],
    wait_for: WaitFor,
    *,
    conn_id: str,
    inline_result_limit: int | None,
    method_name: str,
) -> NoReturn:
    """Free the worker slot until enough results are there, or cannot be any more, or the deadline has come.

    Args:
        requests: made together, so that they share their deadline.

    Raises:
        TaskDeferred: always.
    """
    from airflow_integration.gather_trigger import WorkflowGatherTrigger  # noqa: PLC0415 - as above

    trigger = WorkflowGatherTrigger(
        requests=pack(requests),
        wait_for=wait_for,
        workflow_events_conn_id=conn_id,
        inline_result_limit=_limit(inline_result_limit),
        settle=_settle(),
    )
    _defer(task, trigger, requests[0], method_name)


def _limit(inline_result_limit: int | None) -> int:
    return options.inline_result_limit() if inline_result_limit is None else inline_result_limit


def _settle() -> SettleOptions:
    return {
        "interval": options.heartbeat_interval(),
        "margin": options.settle_margin(),
        "process": TaskProcess.current().to_json(),
    }


def _defer(
    task: BaseOperator,
    trigger: SettledTrigger,
    pending: PendingRequest,
    method_name: str,
    kwargs: dict[str, Any] | None = None,
) -> NoReturn:
    task.defer(
        trigger=trigger,
        method_name=method_name,
        kwargs=kwargs,
        timeout=timedelta(seconds=max(0.0, pending.remaining()) + _GRACE_SECONDS),
    )
