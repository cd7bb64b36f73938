from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_integration import WorkflowHumanOperator
from airflow_integration.questions import ANSWER, Question


def form(value: Any) -> WorkflowHumanOperator:
    operator = WorkflowHumanOperator(task_id="decide", interrupted={})
    operator._set_form([Question.of({"id": "q", "value": value})])
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


SEVERAL: list[Any] = [
    "Ship it?",
    {"question": "To whom?", "options": ["us", "them"]},
    {"question": "In which colours?", "options": ["red", "blue"], "multiple": True},
    {"question": "How many?", "schema": {"type": "integer", "minimum": 1, "default": 2}},
]


def test_several_questions_are_one_form_that_judges_each_answer() -> None:
    # Given a form of four questions
    operator = WorkflowHumanOperator(task_id="decide", interrupted={})
    operator._set_form([Question.of({"id": f"q{n}", "value": value}) for n, value in enumerate(SEVERAL)])
    # Then it can be sent, and takes answers that fit
    operator.validate_options()
    json.dumps([operator.subject, operator.body, operator.options, operator.serialized_params])
    fit = {"answer_1": "yes", "answer_2": "us", "answer_3": ["red"], "answer_4": 3}
    operator.validate_params_input(fit)
    # And refuses those of which one does not
    wrongs: list[dict[str, Any]] = [
        {"answer_1": None},
        {"answer_2": "nobody"},
        {"answer_3": ["green"]},
        {"answer_3": []},
        {"answer_4": 0},
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"Invalid input"):
            operator.validate_params_input({**fit, **wrong})


def test_a_value_that_is_no_question_is_passed_on() -> None:
    operator = WorkflowHumanOperator(task_id="decide", interrupted={"total": 13.5})

    assert operator.execute({}) == {"total": 13.5}
