"""A triggerer that dies with tasks in its care."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.runs import succeeded

if TYPE_CHECKING:
    from tests.system.responder import Responder
    from workflow_events.testing.airflow import AirflowStack

pytestmark = pytest.mark.timeout(600)

TASKS = 12


def test_tasks_whose_results_come_while_no_triggerer_lives_succeed_with_the_next_one(
    airflow: AirflowStack, responder: Responder
) -> None:
    dag_id = "ask_deferring_at_once"
    airflow.wait_for_dag(dag_id)
    data = [{"n": n, **({"size": 50_000} if n % 3 == 0 else {})} for n in range(TASKS)]
    with responder.paused():
        run_id = airflow.trigger(dag_id, {"data": data})
        airflow.wait_for(
            lambda: (
                [state for (task, _), state in airflow.task_states(dag_id, run_id).items() if task == "ask"]
                == ["deferred"] * TASKS
            ),
            180,
            what=lambda: f"{TASKS} deferred tasks: {airflow.task_states(dag_id, run_id)}",
        )
        airflow.kill("triggerer")
    airflow.wait_for(lambda: responder.answered >= TASKS, 60, what="the answers")

    airflow.start_component("triggerer")

    # The new triggerer takes the triggers over once the old one's heartbeat is stale: 30 s by default.
    succeeded(airflow, dag_id, run_id)
    for n in range(TASKS):
        assert airflow.xcom(dag_id, run_id, "ask", n)["echo"] == data[n]
    assert {task["try_number"] for task in airflow.task_instances(dag_id, run_id)} == {1}
    assert len(responder.requests) == TASKS
