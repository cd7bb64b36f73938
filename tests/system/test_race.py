"""Results that come while Airflow has not yet noticed that the deferred task's process has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.system.runs import run_to_the_end

if TYPE_CHECKING:
    from tests.system.responder import Responder
    from workflow_events.testing.airflow import AirflowStack

pytestmark = pytest.mark.timeout(600)

TASKS = int(os.environ.get("RACE_TASKS", "20"))
RUNS = int(os.environ.get("RACE_RUNS", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("dag_id", ["ask_deferrable", "ask_deferring_at_once"])
@pytest.mark.parametrize("run", range(RUNS))
def test_no_task_fails_whose_result_comes_at_once_or_up_to_ten_seconds_later(
    dag_id: str, run: int, airflow: AirflowStack, responder: Responder
) -> None:
    """On Airflow's default settings."""
    data = [{"n": n, "delay": round(10 * n / (TASKS - 1), 2)} for n in range(TASKS)]

    run_id = run_to_the_end(airflow, dag_id, data, timeout=400)

    tasks = [task for task in airflow.task_instances(dag_id, run_id) if task["task_id"] == "ask"]
    assert {(task["map_index"], task["state"], task["try_number"]) for task in tasks} == {
        (n, "success", 1) for n in range(TASKS)
    }
    for n in range(TASKS):
        assert airflow.xcom(dag_id, run_id, "ask", n) == {"echo": data[n]}


def test_a_result_is_kept_until_a_process_that_ends_belatedly_has_ended(
    airflow: AirflowStack, responder: Responder
) -> None:
    """As on a loaded machine: the process lives on for 15 s after the deferral, longer than the interval and the margin."""
    run_id = run_to_the_end(airflow, "ask_late_to_exit", [{"n": 0}, {"n": 1, "delay": 6}])

    assert {task["try_number"] for task in airflow.task_instances("ask_late_to_exit", run_id)} == {1}
