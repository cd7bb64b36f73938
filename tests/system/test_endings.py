"""What a run costs when its worker dies, and when the task that asked for it is ended by hand; counted by a ledger of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.runs import log_of, succeeded

if TYPE_CHECKING:
    from workflow_events.testing.airflow import AirflowStack
    from workflow_events.testing.processes import ServerProcess

pytestmark = pytest.mark.timeout(600)


def entries(ledger: Path) -> list[str]:
    return ledger.read_text(encoding="utf-8").split() if ledger.exists() else []


def test_a_retry_after_the_workers_death_pays_nothing_again_and_a_clear_pays_anew(
    airflow: AirflowStack, worker: ServerProcess, tmp_path: Path
) -> None:
    # Given a task whose worker dies behind the node that costs, and does not come back
    dag_id, ledger = "ask_the_ledger", tmp_path / "ledger"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, {"data": {"ledger": str(ledger), "deadly": True}})
    airflow.wait_for(lambda: not worker.is_running, 120, what="the worker's death")
    airflow.wait_for(
        lambda: [one["try_number"] for one in airflow.task_instances(dag_id, run_id)] == [2],
        120,
        what=lambda: f"the second try: {airflow.task_states(dag_id, run_id)}",
    )
    # When another worker comes
    worker.kill()  # there is nothing left of it but its name
    worker.start()
    # Then the second try has the result, and the node that costs has run once
    succeeded(airflow, dag_id, run_id)
    assert entries(ledger) == ["model", "after"]
    assert "has not been heard for" in airflow.task_log(dag_id, run_id, "ask", try_number=1)
    # When the task is cleared
    airflow.clear(dag_id, run_id, "ask")
    airflow.wait_for(lambda: len(entries(ledger)) == 4, 120, what=lambda: f"the second run: {entries(ledger)}")
    # Then it is a new request
    succeeded(airflow, dag_id, run_id)
    assert entries(ledger) == ["model", "after", "model", "after"]


def test_a_task_that_is_marked_failed_stops_its_run_whether_it_waits_in_the_triggerer_or_in_its_slot(
    airflow: AirflowStack, worker: ServerProcess, tmp_path: Path
) -> None:
    dag_id, tasks = "ask_what_takes_long", ("deferred", "here")
    ledgers = {name: tmp_path / f"ledger.{name}" for name in tasks}
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, {"ledger": str(tmp_path / "ledger")})

    def stand() -> dict[str, list[str]]:
        return {name: entries(ledger) for name, ledger in ledgers.items()}

    def logs() -> str:
        return "\n\n".join(log_of(airflow, task) for task in airflow.task_instances(dag_id, run_id))

    airflow.wait_for(lambda: stand() == {name: ["model"] for name in tasks}, 120, what=lambda: f"the runs: {stand()}")
    airflow.wait_for(lambda: airflow.task_states(dag_id, run_id)["deferred", -1] == "deferred", 60, what="the deferral")

    for name in tasks:
        airflow.set_task_state(dag_id, run_id, name, "failed")

    airflow.wait_for(
        lambda: stand() == {name: ["model", "stopped"] for name in tasks},
        60,
        what=lambda: f"the ends: {stand()}\n{logs()}\n{worker.log_tail()}",
    )
    airflow.wait_for(
        lambda: worker.log_text().count("answered: cancelled") == len(tasks), 30, what="two results that say so"
    )
