"""What a run asks a human, as Airflow's human-in-the-loop page shows it, and the answer as the run takes it.

A graph may pass anything JSON to ``interrupt()``. These shapes are shown for what they are:

===============================================  ==========================================  =====================
``interrupt(...)``                               the page shows                              the answer is
===============================================  ==========================================  =====================
``"Ship it?"``                                   the text, and a field                       what is typed in
``{"question": ..., "options": [...]}``          the question, and a button for each option  the option's text
the same with ``"multiple": true``               ... of which several may be chosen          the list of them
``{"question": ..., "schema": {...}}``           a field by the JSON schema                  the field's value
anything else                                    the value as JSON, and a field              what is typed in
===============================================  ==========================================  =====================

``"body"`` (Markdown) may stand beside ``"question"``. A run may stop at several questions at once, in branches that run side by
side. They are asked in one form, with a field for each; what would be a button alone is then a field with these choices.

Pure: no Airflow, no Kafka client.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflow_events.errors import InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflow_events.events import WorkflowResultEvent

__all__ = ["ANSWER", "INTERRUPTION", "Form", "Interruption", "Question", "answers_in", "interruption_of"]

INTERRUPTION = "workflow_interrupted"
"""The key by which a task's value tells that its run has stopped at a question."""
ANSWER = "answer"
"""The name of the field on Airflow's page; of several, followed by ``_1``, ``_2`` and so on."""
_SEND = "Send"
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_NO_QUESTION = "The workflow waits for an answer"


@dataclass(frozen=True, slots=True)
class Question:
    """One open question.

    Attributes:
        id: LangGraph's, for this asking of it.
        subject: the question itself.
        body: Markdown.
        options: what may be chosen.
        multiple: whether several of them may.
        schema: of the field to fill in; None: an option is the answer.
    """

    id: str
    subject: str
    options: list[str]
    body: str | None = None
    multiple: bool = False
    schema: dict[str, Any] | None = field(default=None)

    @classmethod
    def of(cls, interrupt: Mapping[str, Any]) -> Question:
        """One of a result's ``interrupts``."""
        name, value = str(interrupt["id"]), interrupt.get("value")
        if isinstance(value, str) and value:
            return cls(name, value, [_SEND], schema=dict(_TEXT))
        if not isinstance(value, dict) or not isinstance(value.get("question"), str):
            return cls(name, _NO_QUESTION, [_SEND], _as_json(value), schema=dict(_TEXT))
        body = value.get("body")
        body = body if body is None or isinstance(body, str) else _as_json(body)
        choices = value.get("options")
        if isinstance(choices, list) and choices:
            return cls(name, value["question"], list(map(str, choices)), body, value.get("multiple") is True)
        schema = value.get("schema")
        return cls(
            name, value["question"], [_SEND], body, schema=dict(schema) if isinstance(schema, dict) else dict(_TEXT)
        )


@dataclass(frozen=True, slots=True)
class Form:
    """What Airflow's page shows of one question, or of several.

    Attributes:
        fields: the JSON schema of each field, by its name.
    """

    subject: str
    body: str | None
    options: list[str]
    multiple: bool
    fields: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, questions: Sequence[Question]) -> Form:
        """The form of at least one question."""
        if len(questions) == 1:
            (one,) = questions
            fields = {} if one.schema is None else {ANSWER: dict(one.schema)}
            return cls(one.subject, one.body, one.options, one.multiple, fields)
        said = [
            f"**{number}. {one.subject}**" + (f"\n\n{one.body}" if one.body else "")
            for number, one in enumerate(questions, start=1)
        ]
        fields = {
            _field(number): {"title": f"{number}. {one.subject}", **_schema_of(one)}
            for number, one in enumerate(questions, start=1)
        }
        subject = f"The workflow asks {len(questions)} questions"
        return cls(subject, "\n\n".join(said), [_SEND], multiple=False, fields=fields)


@dataclass(frozen=True, slots=True)
class Interruption:
    """A run that has stopped at questions.

    Attributes:
        root: the id of the request that began the run.
        questions: those that have an id; a breakpoint has none.
    """

    root: str
    workflow_id: str
    thread_id: str
    graph: str | None
    interrupts: list[dict[str, Any]]

    @classmethod
    def of(cls, value: object) -> Interruption | None:
        """What a task's value tells of an interruption; None where it is an ordinary value.

        Raises:
            InvalidEventError: it begins like one and is none.
        """
        if not isinstance(value, dict) or INTERRUPTION not in value:
            return None
        told = value[INTERRUPTION]
        try:
            return cls(
                root=told["correlation_id"],
                workflow_id=told["workflow_id"],
                thread_id=told["thread_id"],
                graph=told.get("graph"),
                interrupts=list(told["interrupts"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidEventError(
                f"Not the value of a task that ended with on_interrupt='return': {error!r}."
            ) from error

    def to_value(self) -> dict[str, Any]:
        """As a task's value; :meth:`of` takes it back."""
        return {
            INTERRUPTION: {
                "correlation_id": self.root,
                "workflow_id": self.workflow_id,
                "thread_id": self.thread_id,
                "graph": self.graph,
                "interrupts": self.interrupts,
            }
        }

    @property
    def questions(self) -> list[Question]:
        """The open questions; none where the run stands at breakpoints alone, which ask nothing."""
        return [Question.of(one) for one in self.interrupts if one.get("id")]


def interruption_of(result: WorkflowResultEvent, graph: str | None, root: str | None = None) -> dict[str, Any]:
    """A result of status ``interrupted`` as a task's value.

    Args:
        graph: the graph's name, where the workflow's id is not.
        root: the request that began the run; the result's own where None.
    """
    return Interruption(
        root=root or str(result.correlation_id),
        workflow_id=result.workflow_id,
        thread_id=result.thread_id or str(result.correlation_id),
        graph=graph,
        interrupts=list(result.interrupts or []),
    ).to_value()


def answers_in(questions: Sequence[Question], chosen: list[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The human's answers by the questions' ids, from what Airflow's page gives of their form.

    Raises:
        ValueError: one is missing.
    """
    if len(questions) == 1:
        return {questions[0].id: _answer_in(questions[0], chosen, fields)}
    missing = [_field(number) for number in range(1, len(questions) + 1) if _field(number) not in fields]
    if missing:
        raise ValueError(f"these fields were not filled in: {', '.join(missing)}")
    return {one.id: fields[_field(number)] for number, one in enumerate(questions, start=1)}


def _answer_in(question: Question, chosen: list[str], fields: Mapping[str, Any]) -> Any:
    if question.schema is None:
        if not chosen:
            raise ValueError("no option was chosen")
        return list(chosen) if question.multiple else chosen[0]
    if ANSWER not in fields:
        raise ValueError(f"the field {ANSWER!r} was not filled in")
    return fields[ANSWER]


def _field(number: int) -> str:
    return f"{ANSWER}_{number}"


def _schema_of(question: Question) -> dict[str, Any]:
    """Of the field that takes a question's answer, where it is not alone on the page."""
    if question.schema is not None:
        return dict(question.schema)
    if question.multiple:
        # The page shows an array with examples as a choice of several.
        items = {"type": "string", "enum": question.options}
        return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True, "examples": question.options}
    return {"type": "string", "enum": question.options}


def _as_json(value: object) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=2)}\n```"
