from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workflow_events.testing import process_tree
from workflow_events.testing.airflow import AirflowStack
from workflow_events.testing.airflow_rest import DagImportError

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def airflow(
    airflow_stack: Callable[..., AirflowStack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStack]:
    dags = tmp_path_factory.mktemp("dags")
    dags.joinpath("stack_check.py").write_text(Path(__file__).parent.joinpath("dags", "stack_check.py").read_text())
    with airflow_stack(dags_folder=dags, environment={"AIRFLOW_CONN_FS_DEFAULT": "fs://"}) as stack:
        yield stack
    assert not any(stack.is_running(name) for name in stack.components)


def test_a_run_survives_the_death_of_the_triggerer_while_a_task_is_deferred(
    airflow: AirflowStack, tmp_path: Path
) -> None:
    # Given a run whose first task is deferred until a file is there
    airflow.wait_for_dag("stack_check")
    file = tmp_path / "go on"
    run_id = airflow.trigger("stack_check", {"base": 30, "file": str(file)})

    def states() -> dict[tuple[str, int], str | None]:
        return airflow.task_states("stack_check", run_id)

    airflow.wait_for(lambda: states()["wait", -1] == "deferred", 90, what=lambda: f"a deferred task: {states()}")
    # and Airflow has taken note that the process which deferred it has ended: a trigger that fires before fails the task
    note = (
        "Received executor event with state success for task instance "
        f"TaskInstanceKey(dag_id='stack_check', task_id='wait', run_id='{run_id}'"
    )
    airflow.wait_for(
        lambda: note in airflow.component_log("scheduler"), 60, what="the scheduler's note of the deferral"
    )
    # When the triggerer is killed and another one started
    tree = process_tree.members(airflow.components["triggerer"].pid)
    airflow.kill("triggerer")
    assert process_tree.alive(tree) == set()
    airflow.start_component("triggerer")
    file.touch()
    # Then the run comes to its end
    assert airflow.wait_for_run("stack_check", run_id, timeout=120) == "success"
    assert airflow.xcom("stack_check", run_id, "double", 1) == {"number": 2, "double": 4}
    assert airflow.xcom("stack_check", run_id, "total") == 42
    assert "doubling 2" in airflow.task_log("stack_check", run_id, "double", 1)


def test_a_dag_file_that_cannot_be_imported_is_an_error_with_its_text(airflow: AirflowStack) -> None:
    # Given a broken file in the DAGs folder
    broken = Path(airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"], "broken.py")
    broken.write_text("from airflow.sdk import dag\nraise LookupError('no such customer')\n")
    try:
        # When a DAG is waited for, once Airflow has looked at the folder again
        airflow.kill("dag-processor")
        airflow.start_component("dag-processor")
        # Then the wait ends with what Airflow says of the file
        with pytest.raises(DagImportError, match=r"broken\.py:[\s\S]*no such customer"):
            airflow.wait_for(lambda: airflow.wait_for_dag("missing", timeout=60), 60)
    finally:
        broken.unlink()
