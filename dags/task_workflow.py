"""``@task.workflow``: the function returns the request's data, the task's value is the workflow's result."""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import dag

# Airflow's own ``task``; from here, type checkers know that it has ``workflow``.
from airflow_integration import task

TEXT = "Airflow plans. Kafka carries. LangGraph thinks. Airflow has its answer, and the worker slot was free meanwhile."


@dag(schedule=None, catchup=False, tags=["workflow-events", "example"], params={"text": TEXT})
def task_workflow() -> None:
    """Count the words of a text in a LangGraph worker."""

    @task.workflow(workflow_id="text_statistics", timeout=120, deferrable=True)
    def statistics(text: str) -> dict[str, Any]:
        return {"text": text}

    @task
    def show(answer: dict[str, Any]) -> str:
        summary: str = answer["summary"]
        print(summary)  # noqa: T201 - to the task's log
        return summary

    show(statistics("{{ params.text }}"))


task_workflow()
