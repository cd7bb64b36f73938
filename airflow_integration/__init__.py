"""The requester's side: ask a LangGraph workflow from an Airflow task, and have its answer as the task's value.

Names are imported when first used. A DAG file that uses ``@task.workflow`` or an operator is parsed without a Kafka client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_integration.decorator import task, workflow_task
    from airflow_integration.failing import WorkflowRequestFailError
    from airflow_integration.gather_trigger import WorkflowGatherTrigger
    from airflow_integration.hook import WorkflowEventsHook
    from airflow_integration.human_operator import WorkflowHumanOperator
    from airflow_integration.links import WorkflowRunLink
    from airflow_integration.operator import WorkflowOperator
    from airflow_integration.outcome import WorkflowTaskError, WorkflowTaskFailError
    from airflow_integration.poller import WorkflowResultPoller
    from airflow_integration.sensor import WorkflowResultSensor
    from airflow_integration.trigger import WorkflowResultTrigger

__all__ = [
    "WorkflowEventsHook",
    "WorkflowGatherTrigger",
    "WorkflowHumanOperator",
    "WorkflowOperator",
    "WorkflowRequestFailError",
    "WorkflowResultPoller",
    "WorkflowResultSensor",
    "WorkflowResultTrigger",
    "WorkflowRunLink",
    "WorkflowTaskError",
    "WorkflowTaskFailError",
    "task",
    "workflow_task",
]

_HOME = {
    "WorkflowEventsHook": "hook",
    "WorkflowGatherTrigger": "gather_trigger",
    "WorkflowHumanOperator": "human_operator",
    "WorkflowOperator": "operator",
    "WorkflowRequestFailError": "failing",
    "WorkflowResultPoller": "poller",
    "WorkflowResultSensor": "sensor",
    "WorkflowResultTrigger": "trigger",
    "WorkflowRunLink": "links",
    "WorkflowTaskError": "outcome",
    "WorkflowTaskFailError": "outcome",
    "task": "decorator",
    "workflow_task": "decorator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
