"""The whole of it by hand, in one TaskFlow function: publish a request, wait for its result, read it.

The worker slot is held while it waits; ``task_workflow.py`` has the short form, which frees it.
"""

# Airflow hands a function the value where the code hands it the task.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

TEXT = "A reply is found by its id. It may be there before the question is asked twice. Nothing is lost."


@dag(schedule=None, catchup=False, tags=["workflow-events", "example"], params={"text": TEXT})
def taskflow_by_hand() -> None:
    """Ask the graph that bears the DAG's name."""

    @task
    def ask(data: dict[str, Any], dag: Any = None, run_id: Any = None) -> dict[str, Any]:
        # Imported here: Airflow parses this file again and again, and needs no Kafka client for that.
        from airflow_integration import WorkflowResultPoller  # noqa: PLC0415
        from workflow_events import EventType, WorkflowEventProducer  # noqa: PLC0415

        dag_id = dag.dag_id
        with WorkflowEventProducer() as producer:
            event = producer.publish_workflow_event(
                event_type=EventType.WORKFLOW_TRIGGERED,
                workflow_id=dag_id,
                workflow_run_id=run_id,
                payload={"data": data},
            )
        correlation_id = event.event_id

        result = WorkflowResultPoller(timeout=300).poll_for_result(correlation_id)
        if result is None:
            raise TimeoutError(f"no result for request {correlation_id} within 300 seconds")
        if result["status"] != "success":
            raise RuntimeError(f"the workflow answered {result['status']}: {result['error']}")
        answer: dict[str, Any] = result["result"]
        return answer

    @task
    def show(answer: dict[str, Any]) -> str:
        summary: str = answer["summary"]
        print(summary)  # noqa: T201 - to the task's log
        return summary

    show(ask({"text": "{{ params.text }}"}))


taskflow_by_hand()
