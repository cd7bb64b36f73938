"""A workflow that stops at questions to people, who answer them on Airflow's page of required actions."""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_integration import WorkflowHumanOperator, WorkflowOperator

with DAG(
    "human_in_the_loop",
    schedule=None,
    catchup=False,
    tags=["workflow-events", "example"],
    params={"item": "printer", "quantity": 3},
    render_template_as_native_obj=True,
    doc_md=__doc__,
):
    purchase = WorkflowOperator(
        task_id="purchase",
        workflow_id="purchase",
        data={"item": "{{ params.item }}", "quantity": "{{ params.quantity }}"},
        timeout=120,
        on_interrupt="return",
    )
    decide = WorkflowHumanOperator(task_id="decide", interrupted=purchase.output, timeout=120, on_interrupt="return")
    book = WorkflowHumanOperator(task_id="book", interrupted=decide.output, timeout=120)

    @task
    def act(answer: dict[str, Any]) -> str:
        """Go on with the decision."""
        message = f"{answer['decision']}: {answer['total']:.2f} euros, paid by {answer.get('cost_centre', 'nobody')}"
        print(message)  # noqa: T201 - to the task's log
        return message

    act(book.output)
