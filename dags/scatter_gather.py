"""One task that asks for every text at once, deferred once for all, and has the answers as a list in the order of the texts.

``mapped_fan_out.py`` does the same with a task for each text: there each has a log and a state of its own, and may be retried
alone. Here a thousand texts cost one task.
"""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import dag

from airflow_integration import WorkflowOperator, task

TEXTS = [
    "The cursor is read before the question is published. So nothing can be missed.",
    "One reader serves all waiters. A waiter costs an entry in a dictionary.",
    "A retry attaches to the run that is still going. A clear starts over.",
    "Deadlines are absolute. They travel with the request.",
]


@dag(schedule=None, catchup=False, tags=["workflow-events", "example"])
def scatter_gather() -> None:
    """Count the words of several texts in one task; and of whichever two come first in another."""

    @task
    def texts() -> list[str]:
        return TEXTS

    @task.workflow(workflow_id="text_statistics", timeout=120, deferrable=True)
    def statistics(texts: list[str]) -> list[dict[str, Any]]:
        return [{"text": text} for text in texts]

    @task
    def add_up(answers: list[dict[str, Any]]) -> dict[str, int]:
        total = {name: sum(answer[name] for answer in answers) for name in ("words", "sentences")}
        print(total)  # noqa: T201 - to the task's log
        return total

    add_up(statistics(texts()))

    any_two = WorkflowOperator(
        task_id="any_two",
        workflow_id="text_statistics",
        data=[{"text": text} for text in TEXTS],
        wait_for=2,
        timeout=120,
        deferrable=True,
    )

    @task
    def count(answers: list[dict[str, Any] | None]) -> int:
        """A request that was not waited for has None in its place."""
        return sum(answer is not None for answer in answers)

    count(any_two.output)


scatter_gather()
