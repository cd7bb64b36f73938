"""Every DAG in ``dags/``, as a user runs it: Airflow's processes, the worker's command, a broker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.system.conftest import EXAMPLE_DAGS, EXAMPLES
from tests.system.people import wait_for_question
from tests.system.runs import kafka_environment, log_of, succeeded
from workflow_events.testing.processes import ServerProcess

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack

pytestmark = [pytest.mark.timeout(600), pytest.mark.airflow_databases("sqlite")]


@pytest.fixture(scope="module")
def worker(system_settings: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    program = Path(sys.executable).with_name("workflow-worker")
    folder = tmp_path_factory.mktemp("worker")
    command: list[str | Path] = [program, "--config", EXAMPLES / "graphs" / "langgraph.json"]
    environment = {
        **os.environ,
        **kafka_environment(system_settings),
        "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{folder / 'checkpoints.db'}",
    }
    server = ServerProcess(
        "the worker", command, log_file=folder / "worker.log", environment=environment, directory=folder
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(20)


def run(airflow: AirflowStack, dag_id: str, **params: Any) -> str:
    airflow.wait_for_dag(dag_id)
    return succeeded(airflow, dag_id, airflow.trigger(dag_id, params))


def test_the_list_of_examples_is_complete() -> None:
    there = {path.stem for path in EXAMPLES.glob("*.py")}

    # The dependency audit has a test of its own: it is the demo.
    assert there - {"dependency_audit"} == set(EXAMPLE_DAGS)


def test_the_function_written_by_hand(airflow: AirflowStack, worker: ServerProcess) -> None:
    run_id = run(airflow, "taskflow_by_hand", text="One two. Three!")

    assert airflow.xcom("taskflow_by_hand", run_id, "ask")["words"] == 3
    assert airflow.xcom("taskflow_by_hand", run_id, "show") == "3 words in 2 sentences, mostly about one, two, three."


def test_the_decorated_function(airflow: AirflowStack, worker: ServerProcess) -> None:
    run_id = run(airflow, "task_workflow", text="One two. Three!")

    assert airflow.xcom("task_workflow", run_id, "statistics") == {
        "words": 3,
        "sentences": 2,
        "frequent": ["one", "two", "three"],
        "summary": "3 words in 2 sentences, mostly about one, two, three.",
    }
    assert airflow.xcom("task_workflow", run_id, "show").startswith("3 words")


@pytest.mark.parametrize("item, said", [("paper", "approved: 13.50"), ("printer", "needs approval: 747.00")])
def test_the_operator_and_what_acts_on_its_result(
    item: str, said: str, airflow: AirflowStack, worker: ServerProcess
) -> None:
    run_id = run(airflow, "deferrable_operator", item=item)

    assert said in airflow.xcom("deferrable_operator", run_id, "act")


def test_a_workflow_that_says_no_fails_the_task_with_its_words(airflow: AirflowStack, worker: ServerProcess) -> None:
    airflow.wait_for_dag("deferrable_operator")
    run_id = airflow.trigger("deferrable_operator", {"item": "gold"})

    assert airflow.wait_for_run("deferrable_operator", run_id) == "failed"

    (review,) = [task for task in airflow.task_instances("deferrable_operator", run_id) if task["task_id"] == "review"]
    assert "says no" in log_of(airflow, review)
    assert "there is no 'gold' in the price list" in log_of(airflow, review)


def test_the_mapped_tasks_and_their_sum(airflow: AirflowStack, worker: ServerProcess) -> None:
    run_id = run(airflow, "mapped_fan_out")

    answers = [airflow.xcom("mapped_fan_out", run_id, "statistics", n) for n in range(4)]
    assert airflow.xcom("mapped_fan_out", run_id, "add_up") == {
        "words": sum(answer["words"] for answer in answers),
        "sentences": 8,
    }


def test_one_task_asks_for_all_and_another_for_any_two(airflow: AirflowStack, worker: ServerProcess) -> None:
    run_id = run(airflow, "scatter_gather")

    answers = airflow.xcom("scatter_gather", run_id, "statistics")
    assert [answer["sentences"] for answer in answers] == [2, 2, 2, 2]
    assert answers[0]["frequent"][0] in {"cursor", "read", "before"}
    assert airflow.xcom("scatter_gather", run_id, "add_up") == {
        "words": sum(answer["words"] for answer in answers),
        "sentences": 8,
    }
    assert len(airflow.xcom("scatter_gather", run_id, "any_two")) == 4
    assert airflow.xcom("scatter_gather", run_id, "count") >= 2


def test_people_answer_what_the_workflow_asks(airflow: AirflowStack, worker: ServerProcess) -> None:
    dag_id = "human_in_the_loop"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)

    # Given a run that stops at a choice
    wait_for_question(airflow, dag_id, run_id, "decide", "Buy 3 x printer for 747.00 euros?", 1)
    assert airflow.question(dag_id, run_id, "decide")["options"] == ["approve", "reject"]
    # When it is answered, and answered again
    airflow.respond(dag_id, run_id, "decide", ["approve"])
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        airflow.respond(dag_id, run_id, "decide", ["reject"])
    # Then the first answer counts, and the run has another question, whose field refuses what does not fit
    wait_for_question(airflow, dag_id, run_id, "book", "Which cost centre pays?", 1)
    airflow.respond(dag_id, run_id, "book", ["Send"], {"answer": "somebody"})
    wait_for_question(airflow, dag_id, run_id, "book", "Which cost centre pays?", 2)
    airflow.respond(dag_id, run_id, "book", ["Send"], {"answer": "IT-1000"})
    # And with the answer that does, the run comes to its end
    succeeded(airflow, dag_id, run_id)
    assert airflow.xcom(dag_id, run_id, "act") == "approve: 747.00 euros, paid by IT-1000"
