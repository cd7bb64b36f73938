"""The operator, deferred, with a task downstream that acts on the workflow's result."""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_integration import WorkflowOperator

with DAG(
    "deferrable_operator",
    schedule=None,
    catchup=False,
    tags=["workflow-events", "example"],
    params={"item": "printer", "quantity": 3},
    render_template_as_native_obj=True,
    doc_md=__doc__,
):
    review = WorkflowOperator(
        task_id="review",
        workflow_id="order_review",
        data={"order": {"lines": [{"item": "{{ params.item }}", "quantity": "{{ params.quantity }}"}]}},
        timeout=120,
        deferrable=True,
    )

    @task
    def act(answer: dict[str, Any]) -> str:
        """Go on with the decision."""
        message = f"The order is {answer['decision']}: {answer['reason']}."
        print(message)  # noqa: T201 - to the task's log
        return message

    act(review.output)
