"""What people are asked by a run, and how it goes on with what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.people import wait_for_question
from tests.system.runs import succeeded

if TYPE_CHECKING:
    from workflow_events.testing.airflow import AirflowStack
    from workflow_events.testing.processes import ServerProcess

pytestmark = [pytest.mark.timeout(600), pytest.mark.airflow_databases("sqlite")]


def test_questions_that_branches_ask_at_the_same_time_are_answered_in_one_form(
    airflow: AirflowStack, worker: ServerProcess
) -> None:
    # Given a run of which three branches have stopped at a question
    dag_id, task_id, subject = "ask_the_panel", "people", "The workflow asks 3 questions"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    asked = wait_for_question(airflow, dag_id, run_id, task_id, subject, 1)
    questions = {name: field["schema"]["title"].partition(". ")[2] for name, field in asked["params"].items()}
    answers: dict[str, Any] = {"How many?": 2, "What is the mug called?": "Henry", "Which colour?": "blue"}
    assert sorted(questions.values()) == sorted(answers)
    fields = {name: answers[question] for name, question in questions.items()}
    # When one of the answers does not fit, then all are asked for again
    refused = {**fields, **{name: 0 for name, question in questions.items() if question == "How many?"}}
    airflow.respond(dag_id, run_id, task_id, ["Send"], refused)
    wait_for_question(airflow, dag_id, run_id, task_id, subject, 2)
    # And with answers that do, each branch has its own
    airflow.respond(dag_id, run_id, task_id, ["Send"], fields)
    succeeded(airflow, dag_id, run_id)
    assert airflow.xcom(dag_id, run_id, task_id)["order"] == "2 blue mugs called Henry"
