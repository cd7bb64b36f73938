"""What the processes of these tests are told of Kafka, and runs of DAGs, with the failed tasks' logs in the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack

_LINES = 60


def kafka_environment(settings: KafkaSettings) -> dict[str, str]:
    """The environment by which another process finds the broker and these topics."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "KAFKA_WORKFLOW_EVENTS_TOPIC": settings.workflow_events_topic,
        "KAFKA_WORKFLOW_RESULTS_TOPIC": settings.workflow_results_topic,
        "KAFKA_WORKFLOW_PROGRESS_TOPIC": settings.workflow_progress_topic,
        "KAFKA_WORKFLOW_CONTROL_TOPIC": settings.workflow_control_topic,
    }


def run_to_the_end(airflow: AirflowStack, dag_id: str, data: list[dict[str, Any]], timeout: float = 300) -> str:
    """Run a DAG of ``dags/asking.py``, and return the id of its run, which has succeeded."""
    airflow.wait_for_dag(dag_id)
    return succeeded(airflow, dag_id, airflow.trigger(dag_id, {"data": data}), timeout)


def succeeded(airflow: AirflowStack, dag_id: str, run_id: str, timeout: float = 300) -> str:
    """Wait for the run's success and return its id."""
    state = airflow.wait_for_run(dag_id, run_id, timeout)
    failed = [task for task in airflow.task_instances(dag_id, run_id) if task["state"] == "failed"]
    logs = [
        f"{task['task_id']}[{task['map_index']}], try {task['try_number']}:\n"
        + "\n".join(log_of(airflow, task).splitlines()[-_LINES:])
        for task in failed[:3]
    ]
    assert state == "success", f"{dag_id} {run_id}: {airflow.task_states(dag_id, run_id)}\n" + "\n\n".join(logs)
    return run_id


def log_of(airflow: AirflowStack, task: dict[str, Any]) -> str:
    """The log of a task instance's last try."""
    return airflow.task_log(
        task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"], try_number=task["try_number"]
    )
