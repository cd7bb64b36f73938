from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_integration import WorkflowHumanOperator
from airflow_integration.questions import ANSWER, Question


def form(value: Any) -> WorkflowHumanOperator:
    operator = WorkflowHumanOperator(task_id="decide", interrupted={})
    operator._set_form(Question.of({"id": "q", "value": value}))
    return operator


@pytest.mark.parametrize(
    "value",
    [
        "Ship it?",
        {"question": "?", "options": ["yes", "no"]},
        {"question": "?", "schema": {"type": "integer", "minimum": 1}},
        {"question": "?", "schema": {"type": "integer", "default": 3}},
        None,
    ],
    ids=["text", "options", "schema", "default", "nothing"],
)
def test_every_form_can_be_sent(value: Any) -> None:
    operator = form(value)

    operator.validate_options()
    json.dumps([operator.subject, operator.body, operator.options, operator.serialized_params])


def test_the_form_judges_answers_by_the_questions_schema() -> None:
    operator = form({"question": "How many?", "schema": {"type": "integer", "minimum": 1}})

    operator.validate_params_input({ANSWER: 3})
    for wrong in (0, "many", None):
        with pytest.raises(ValueError, match=r"Invalid input|minimum|type"):
            operator.validate_params_input({ANSWER: wrong})


def test_a_value_that_is_no_question_is_passed_on() -> None:
    operator = WorkflowHumanOperator(task_id="decide", interrupted={"total": 13.5})

    assert operator.execute({}) == {"total": 13.5}
