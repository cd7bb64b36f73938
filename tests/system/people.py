"""Waits for what a task asks of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.system.runs import log_of

if TYPE_CHECKING:
    from workflow_events.testing.airflow import AirflowStack


def wait_for_question(
    airflow: AirflowStack, dag_id: str, run_id: str, task_id: str, subject: str, ended: int
) -> dict[str, Any]:
    """The question, once the scheduler has taken note that the process which asked it has ended.

    Args:
        ended: which of the task's processes that is, counted from 1.
    """
    note = (
        "Received executor event with state success for task instance "
        f"TaskInstanceKey(dag_id='{dag_id}', task_id='{task_id}', run_id='{run_id}'"
    )

    def instance() -> dict[str, Any]:
        return next((one for one in airflow.task_instances(dag_id, run_id) if one["task_id"] == task_id), {})

    def asked() -> dict[str, Any] | None:
        if instance().get("state") != "awaiting_input" or airflow.component_log("scheduler").count(note) < ended:
            return None
        question = airflow.question(dag_id, run_id, task_id)
        return question if question["subject"] == subject and not question["response_received"] else None

    def where_it_stands() -> str:
        log = log_of(airflow, instance()) if instance() else "not begun"
        return f"{subject!r}: {airflow.task_states(dag_id, run_id)}\n{log}"

    found = airflow.wait_for(asked, 90, what=where_it_stands)
    assert found is not None
    return found
