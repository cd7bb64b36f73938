"""A triggerer that dies with tasks in its care."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.runs import succeeded

if TYPE_CHECKING:
    from tests.system.responder import Responder
    from workflow_events.testing.airflow import AirflowStack

pytestmark = pytest.mark.timeout(600)

TASKS = 12
SHARED_TASKS = 20


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


def test_of_two_triggerers_the_one_that_is_left_takes_the_others_tasks_too(
    airflow: AirflowStack, responder: Responder
) -> None:
    """The short form of the provider drill (``docs/chaos.md``)."""
    dag_id = "ask_deferrable"
    airflow.wait_for_dag(dag_id)
    data: list[dict[str, Any]] = [{"n": n} for n in range(SHARED_TASKS)]

    def care() -> Counter[int]:
        """How many deferred tasks each triggerer has."""
        found = [one["trigger"] for one in airflow.task_instances(dag_id, run_id) if one["trigger"] is not None]
        return Counter(one["triggerer_id"] for one in found if one["triggerer_id"] is not None)

    # Given two triggerers that share some tasks
    with airflow.another_triggerer() as second:
        with responder.paused():
            run_id = airflow.trigger(dag_id, {"data": data})
            airflow.wait_for(
                lambda: care().total() == SHARED_TASKS, 240, what=lambda: f"{SHARED_TASKS} deferred tasks: {care()}"
            )
            # When the one that has the most of them dies
            if care()[second.job_id] >= SHARED_TASKS / 2:
                second.server.kill()
            else:
                airflow.kill("triggerer")
        # Then the other has the results of all, at the first try of each
        succeeded(airflow, dag_id, run_id)
    if not airflow.is_running("triggerer"):
        airflow.start_component("triggerer")
    assert [airflow.xcom(dag_id, run_id, "ask", n) for n in range(SHARED_TASKS)] == [{"echo": one} for one in data]
    tries = {(task["task_id"], task["try_number"]) for task in airflow.task_instances(dag_id, run_id)}
    assert tries == {("plan", 1), ("ask", 1)}
