from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from airflow_integration.questions import (
    ANSWER,
    INTERRUPTION,
    Form,
    Interruption,
    Question,
    answers_in,
    interruption_of,
)
from workflow_events.errors import InvalidEventError
from workflow_events.events import ResultStatus, WorkflowResultEvent


def ask(value: Any) -> Question:
    return Question.of({"id": "q", "node": "n", "value": value})


def answer_in(question: Question, chosen: list[str], fields: dict[str, Any]) -> Any:
    return answers_in([question], chosen, fields)["q"]


def test_a_text_is_asked_as_it_is_and_answered_in_a_field() -> None:
    question = ask("Ship it?")

    assert (question.subject, question.body, question.options) == ("Ship it?", None, ["Send"])
    assert answer_in(question, ["Send"], {ANSWER: "yes"}) == "yes"


def test_options_are_buttons_and_the_answer_is_the_one_that_was_pressed() -> None:
    question = ask({"question": "Ship it?", "options": ["yes", "no"], "body": "**Now**"})

    assert (question.subject, question.body, question.options, question.schema) == (
        "Ship it?",
        "**Now**",
        ["yes", "no"],
        None,
    )
    assert answer_in(question, ["no"], {}) == "no"


def test_several_options_make_a_list() -> None:
    question = ask({"question": "Which?", "options": ["a", "b"], "multiple": True})

    assert answer_in(question, ["a", "b"], {}) == ["a", "b"]


def test_a_schema_makes_the_field() -> None:
    question = ask({"question": "How many?", "schema": {"type": "integer", "minimum": 1}})

    assert question.schema == {"type": "integer", "minimum": 1}
    assert answer_in(question, ["Send"], {ANSWER: 3}) == 3


@pytest.mark.parametrize("value", [{"a": [1, "ü"]}, [1], 7, None, "", {"question": 5}])
def test_anything_else_is_shown_as_json(value: Any) -> None:
    question = ask(value)

    assert question.body is not None
    assert json.loads(question.body.removeprefix("```json").removesuffix("```")) == value


@pytest.mark.parametrize("value", ["text", {"question": "?", "options": ["a"]}])
def test_an_answer_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"no option|not filled in"):
        answer_in(ask(value), [], {})


def test_an_interrupted_result_goes_through_a_tasks_value_and_keeps_the_request_that_began_the_run() -> None:
    result = WorkflowResultEvent(
        correlation_id=uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        status=ResultStatus.INTERRUPTED,
        thread_id="t",
        interrupts=[{"node": "pause"}, {"id": "q", "node": "n", "value": "Ship it?"}],
    )

    stopped = Interruption.of(json.loads(json.dumps(interruption_of(result, "g", "root"))))

    assert stopped is not None
    assert (stopped.root, stopped.workflow_id, stopped.thread_id, stopped.graph) == ("root", "w", "t", "g")
    assert stopped.questions == [ask("Ship it?")]
    alone = Interruption.of(interruption_of(result, None))
    assert alone is not None
    assert alone.root == str(result.correlation_id)


def test_several_questions_are_asked_in_one_form_and_answered_by_their_ids() -> None:
    # Given two questions that are open at once
    values: list[Any] = ["Ship it?", {"question": "To whom?", "body": "*One* of them.", "options": ["us", "them"]}]
    questions = [Question.of({"id": f"id-{n}", "value": value}) for n, value in enumerate(values)]
    # When they are shown
    form = Form.of(questions)
    # Then each is to be read, and has a field
    assert form.subject == "The workflow asks 2 questions"
    assert form.body == "**1. Ship it?**\n\n**2. To whom?**\n\n*One* of them."
    assert form.fields == {
        "answer_1": {"title": "1. Ship it?", "type": "string", "minLength": 1},
        "answer_2": {"title": "2. To whom?", "type": "string", "enum": ["us", "them"]},
    }
    # And each answer goes to its own question
    answers = answers_in(questions, ["Send"], {"answer_1": "yes", "answer_2": "them"})
    assert answers == {"id-0": "yes", "id-1": "them"}
    with pytest.raises(ValueError, match="not filled in: answer_2"):
        answers_in(questions, ["Send"], {"answer_1": "yes"})


@pytest.mark.parametrize("value", [{"answer": 1}, {}, None, [1]])
def test_an_ordinary_value_is_no_interruption(value: Any) -> None:
    assert Interruption.of(value) is None


@pytest.mark.parametrize("told", [None, {}, {"correlation_id": "x"}, [1]])
def test_a_broken_interruption_is_refused(told: Any) -> None:
    with pytest.raises(InvalidEventError, match="on_interrupt"):
        Interruption.of({INTERRUPTION: told})
