"""The answer to a run's question comes as a request of its own."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from langgraph_integration.execution import GraphRunner
from langgraph_integration.graph_registry import GraphRegistry
from workflow_events import EventType, ResultStatus, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent


class State(TypedDict, total=False):
    paid: int
    number: str
    colour: str


class Thread:
    """A graph that pays, asks for a number until it has one, and in parallel for a colour if told to."""

    def __init__(self, *, colour: bool = False) -> None:
        self.paid = 0
        self.asked = 0
        self.stuck = False
        builder: StateGraph[Any, Any, Any, Any] = StateGraph(State)
        builder.add_node("pay", self.pay)
        builder.add_node("number", self.number)
        builder.add_edge(START, "pay")
        builder.add_edge("pay", "number")
        if colour:
            builder.add_node("colour", lambda _: {"colour": interrupt("Which colour?")})
            builder.add_edge("pay", "colour")
        self.graph = builder.compile(checkpointer=InMemorySaver())

    def pay(self, state: State) -> State:
        self.paid += 1
        return {"paid": self.paid}

    async def number(self, state: State) -> State:
        self.asked += 1
        question = "How many?"
        while True:
            answer = interrupt(question)
            if self.stuck:
                await asyncio.sleep(60)
            if str(answer).isdigit():
                return {"number": str(answer)}
            question = f"{answer!r} is no number. How many?"

    async def run(self, event: WorkflowEvent, **options: Any) -> WorkflowResultEvent:
        async with GraphRegistry({"g": self.graph}) as graphs:
            return await GraphRunner(graphs.choose, **options).answer(event)


def asked() -> WorkflowEvent:
    return WorkflowEvent(event_type=EventType.WORKFLOW_TRIGGERED, source="a", workflow_id="g", workflow_run_id="r")


def answered(root: WorkflowEvent, answers: Any, **fields: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_RESUME,
        source="a",
        workflow_id="g",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"correlation_id": str(root.event_id), "answers": answers}),
        **{"thread_id": str(root.event_id), **fields},
    )


def question(result: WorkflowResultEvent) -> tuple[str, Any]:
    assert result.status is ResultStatus.INTERRUPTED
    (one,) = result.interrupts or []
    return str(one["id"]), one["value"]


async def test_an_answer_goes_on_where_the_run_stopped_and_pays_nothing_again() -> None:
    # Given a run that stands at its question
    thread, root = Thread(), asked()
    name, said = question(await thread.run(root))
    assert said == "How many?"
    # When the answer comes with a request of its own
    answer = answered(root, {name: 7})
    result = await thread.run(answer)
    # Then that request has the run's result, and the finished node has not run again
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"paid": 1, "number": "7"})
    assert result.correlation_id == answer.event_id
    assert thread.paid == 1


async def test_an_invalid_answer_can_be_given_again() -> None:
    thread, root = Thread(), asked()
    name, _ = question(await thread.run(root))

    again, said = question(await thread.run(answered(root, {name: "many"})))
    result = await thread.run(answered(root, {again: "8"}))

    assert again != name
    assert said == "'many' is no number. How many?"
    assert (result.status, result.result["number"], thread.paid) == (ResultStatus.SUCCESS, "8", 1)


async def test_an_answer_given_twice_is_told_how_the_thread_stands_and_runs_nothing() -> None:
    # Given a run whose first answer was refused, so that it asks again
    thread, root = Thread(), asked()
    name, _ = question(await thread.run(root))
    again, _ = question(await thread.run(answered(root, {name: "many"})))
    ran = thread.asked
    # When the first answer comes once more, in a redelivered request or another
    standing = await thread.run(answered(root, {name: "5"}))
    # Then it is not taken for an answer to the second question
    assert question(standing)[0] == again
    assert thread.asked == ran
    # And when the run is over, its result is what a second answer gets
    await thread.run(answered(root, {again: "8"}))
    ran = thread.asked
    late = await thread.run(answered(root, {again: "9"}))
    assert (late.status, late.result["number"], thread.asked) == (ResultStatus.SUCCESS, "8", ran)


async def test_an_answer_whose_run_died_is_taken_again() -> None:
    thread, root = Thread(), asked()
    name, _ = question(await thread.run(root))
    answer = answered(root, {name: "7"})
    thread.stuck = True
    dead = await thread.run(answer, run_timeout=0.2)
    assert dead.status is ResultStatus.ERROR

    thread.stuck = False
    result = await thread.run(answer.model_copy(update={"attempt": 2}))

    assert (result.status, result.result["number"], thread.paid) == (ResultStatus.SUCCESS, "7", 1)


async def test_several_questions_may_be_answered_one_by_one() -> None:
    thread, root = Thread(colour=True), asked()
    first = await thread.run(root)
    names = {str(one["value"]): str(one["id"]) for one in first.interrupts or []}
    assert set(names) == {"How many?", "Which colour?"}

    left = question(await thread.run(answered(root, {names["How many?"]: "3"})))
    result = await thread.run(answered(root, {left[0]: "green"}))

    assert left == (names["Which colour?"], "Which colour?")
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"paid": 1, "number": "3", "colour": "green"})


async def test_no_answers_ask_how_the_thread_stands() -> None:
    thread, root = Thread(), asked()
    asking = await thread.run(root)

    assert question(await thread.run(answered(root, {}))) == question(asking)
    assert thread.asked == 1


async def test_a_thread_that_has_gone_on_with_another_request_takes_no_answer_to_an_earlier_one() -> None:
    thread, root = Thread(), asked()
    name, _ = question(await thread.run(root))
    other = asked().model_copy(update={"thread_id": str(root.event_id)})
    await thread.run(other)

    result = await thread.run(answered(root, {name: "7"}))

    assert result.status is ResultStatus.ERROR
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("Superseded", False)


ID = str(uuid4())


@pytest.mark.parametrize(
    "data, thread_id",
    [
        ({"answers": {}}, "t"),
        ({"correlation_id": "x"}, "t"),
        ({"correlation_id": ID, "answers": [1]}, "t"),
        ({"correlation_id": ID}, None),
    ],
    ids=["no run", "no id", "no object", "no thread"],
)
async def test_a_resume_that_does_not_say_what_it_answers_is_refused(
    data: dict[str, Any], thread_id: str | None
) -> None:
    event = answered(asked(), {}, thread_id=thread_id)
    event = event.model_copy(update={"payload": WorkflowEventPayload(data=data)})

    result = await Thread().run(event)

    assert result.error_detail is not None
    assert result.error_detail.type == "InvalidRequest"
