"""One task for each text, each with a request of its own, all deferred side by side; then one that puts the answers together."""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import dag

from airflow_integration import task

TEXTS = [
    "The cursor is read before the question is published. So nothing can be missed.",
    "One reader serves all waiters. A waiter costs an entry in a dictionary.",
    "A retry attaches to the run that is still going. A clear starts over.",
    "Deadlines are absolute. They travel with the request.",
]


@dag(schedule=None, catchup=False, tags=["workflow-events", "example"])
def mapped_fan_out() -> None:
    """Count the words of several texts at once."""

    @task
    def texts() -> list[str]:
        return TEXTS

    @task.workflow(workflow_id="text_statistics", timeout=120, deferrable=True)
    def statistics(text: str) -> dict[str, Any]:
        return {"text": text}

    @task
    def add_up(answers: list[dict[str, Any]]) -> dict[str, int]:
        total = {name: sum(answer[name] for answer in answers) for name in ("words", "sentences")}
        print(total)  # noqa: T201 - to the task's log
        return total

    add_up(statistics.expand(text=texts()))


mapped_fan_out()
