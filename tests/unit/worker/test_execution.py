"""One request in, exactly one result out, whatever the graph does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_integration import WorkflowFailure, publish_result_node
from tests.unit.worker.running import State, add, add_async, answer, break_down, line, request, say_no
from workflow_events import ResultStatus, WorkflowEventPayload


@pytest.mark.parametrize("node", [add, add_async])
async def test_a_run_that_ends_well_is_a_success(node: Any) -> None:
    # Given a request with everything that is copied into the result
    event = request(attempt=3)
    # When its graph runs
    result = await answer(line(node), event)
    # Then the result tells whose it is, what it is, and how long it took
    assert (result.status, result.result, result.error) == (ResultStatus.SUCCESS, {"n": 2}, None)
    assert (result.correlation_id, result.workflow_id, result.workflow_run_id) == (event.event_id, "w", "r")
    assert (result.attempt, result.thread_id) == (3, str(event.event_id))
    assert result.started_at is not None
    assert result.duration_ms is not None
    assert result.checkpoint_id is None


async def test_with_a_checkpointer_the_result_names_its_checkpoint_and_thread() -> None:
    saver = InMemorySaver()
    result = await answer(line(add).compile(checkpointer=saver), request(thread_id="conversation 7"))
    saved = await saver.aget_tuple({"configurable": {"thread_id": "conversation 7"}})
    assert saved is not None
    assert result.checkpoint_id == saved.checkpoint["id"]
    assert result.thread_id == "conversation 7"


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_the_hook_decides_what_the_result_is(saver: Any) -> None:
    graph = publish_result_node(line(add), select=lambda state: {"answer": state["n"]}).compile(checkpointer=saver)
    assert (await answer(graph)).result == {"answer": 2}


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_a_functional_graphs_plain_value_becomes_an_output(saver: Any) -> None:
    @entrypoint(checkpointer=saver)
    async def double(data: dict[str, int]) -> int:
        return 2 * data["n"]

    assert (await answer(double)).result == {"output": 2}


async def test_the_nodes_can_read_which_request_they_work_for() -> None:
    seen: dict[str, Any] = {}

    def look(state: State, config: RunnableConfig) -> State:
        seen.update(config["metadata"])
        return {}

    event = request(attempt=2)
    await answer(line(look), event)
    assert seen["correlation_id"] == str(event.event_id)
    assert (seen["workflow_id"], seen["workflow_run_id"], seen["attempt"]) == ("w", "r", 2)


async def test_an_exception_is_an_error_with_its_type_node_and_causes() -> None:
    result = await answer(line(add, break_down))
    assert (result.status, result.result, result.error) == (ResultStatus.ERROR, {}, "cannot go on")
    detail = result.error_detail
    assert detail is not None
    assert (detail.type, detail.node, detail.retryable) == ("builtins.ValueError", "break_down", False)
    assert [(cause.type, cause.message) for cause in detail.causes] == [
        ("builtins.ConnectionResetError", "peer went away")
    ]


async def test_an_exception_in_a_subgraph_names_the_path_to_its_node() -> None:
    builder = StateGraph(State)
    builder.add_node("inner", line(break_down).compile())
    builder.add_edge(START, "inner")
    detail = (await answer(builder)).error_detail
    assert detail is not None
    assert detail.node == "inner|break_down"


async def test_a_workflow_that_says_no_is_a_failure_with_its_findings() -> None:
    result = await answer(line(say_no))
    assert (result.status, result.result, result.error) == (
        ResultStatus.FAILURE,
        {"clause": 7},
        "the contract is void",
    )
    assert result.error_detail is not None
    assert (result.error_detail.node, result.error_detail.retryable) == ("say_no", False)


async def test_a_failure_whose_findings_are_not_plain_is_an_error() -> None:
    def say_no_badly(state: State) -> State:
        raise WorkflowFailure("no", result={"x": object()})

    result = await answer(line(say_no_badly))
    assert result.status is ResultStatus.ERROR
    assert result.error_detail is not None
    assert result.error_detail.type == "UnserializableResult"


async def test_a_run_without_end_meets_the_recursion_limit() -> None:
    builder = line(add)
    builder.add_edge("add", "add")
    result = await answer(builder, recursion_limit=7)
    assert result.status is ResultStatus.ERROR
    assert result.error_detail is not None
    assert result.error_detail.type == "langgraph.errors.GraphRecursionError"


async def test_an_async_node_that_takes_too_long_is_cancelled() -> None:
    ended = asyncio.Event()

    async def wait(state: State) -> State:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    result = await answer(line(wait), run_timeout=0.05)
    assert (result.status, result.error) == (ResultStatus.ERROR, "The run took longer than 0.05 s")
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("RunTimeout", True)
    assert ended.is_set()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_sync_node_that_takes_too_long_is_left_behind(gate: threading.Event) -> None:
    def wait(state: State) -> State:
        gate.wait(10)
        return {}

    result = await answer(line(wait), run_timeout=0.05)
    assert result.error_detail is not None
    assert result.error_detail.type == "RunTimeout"


async def test_a_nodes_own_timeout_is_not_taken_for_the_runs() -> None:
    def give_up(state: State) -> State:
        raise TimeoutError("the model did not answer")

    result = await answer(line(give_up), run_timeout=10)
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error) == ("builtins.TimeoutError", "the model did not answer")


async def test_a_node_that_raises_a_cancellation_of_its_own_is_an_error() -> None:
    async def cancel(state: State) -> State:
        raise asyncio.CancelledError

    result = await answer(line(cancel))
    assert result.status is ResultStatus.ERROR
    assert result.error_detail is not None
    assert result.error_detail.type == "langgraph.errors.NodeCancelledError"


async def test_a_cancelled_run_gives_no_result() -> None:
    begun = asyncio.Event()

    async def wait(state: State) -> State:
        begun.set()
        await asyncio.Event().wait()
        return {}

    run = asyncio.create_task(answer(line(wait)))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_input_that_the_graph_does_not_take_is_an_error() -> None:
    from pydantic import BaseModel

    class Strict(BaseModel):
        n: int

    def use(state: Strict) -> dict[str, int]:
        return {"n": state.n}

    result = await answer(line(use, schema=Strict), request({"n": "many"}))
    assert result.status is ResultStatus.ERROR
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == (
        "pydantic_core._pydantic_core.ValidationError",
        False,
    )


async def test_a_request_for_an_unknown_graph_is_an_error() -> None:
    event = request().model_copy(update={"payload": WorkflowEventPayload(data={}, graph="nope")})
    result = await answer(line(add), event)
    assert result.error == "This worker has no graph 'nope'; it has 'g'"
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("UnknownGraph", False)


async def test_a_state_without_a_plain_form_is_an_error_that_names_its_place() -> None:
    def hold(state: State) -> State:
        return {"other": {"docs": [1, threading.Lock()]}}

    result = await answer(line(hold))
    assert result.error == "result.other.docs[1] has no plain JSON form: it is a _thread.lock"
    assert result.error_detail is not None
    assert result.error_detail.type == "UnserializableResult"


async def test_a_request_whose_deadline_has_passed_is_not_run() -> None:
    ran: list[int] = []

    def note(state: State) -> State:
        ran.append(1)
        return {}

    deadline = datetime(2026, 1, 1, tzinfo=UTC)
    late = await answer(line(note), request(deadline=deadline), now=lambda: deadline)
    in_time = await answer(line(note), request(deadline=deadline), now=lambda: deadline - timedelta(seconds=1))
    assert late.error_detail is not None
    assert (late.status, late.error_detail.type, late.error_detail.retryable) == (
        ResultStatus.ERROR,
        "DeadlineExceeded",
        False,
    )
    assert in_time.status is ResultStatus.SUCCESS
    assert ran == [1]


def ask(state: State) -> State:
    return {"n": state["n"] + interrupt({"question": "how many more?"})}


async def test_a_question_ends_the_request_as_interrupted_and_the_run_can_be_resumed() -> None:
    # Given a graph that asks
    graph = line(add, ask).compile(checkpointer=InMemorySaver())
    event = request()
    # When it runs
    result = await answer(graph, event)
    # Then the result holds the question, where it was asked and its id
    assert (result.status, result.error) == (ResultStatus.INTERRUPTED, "The run waits for an answer at node 'ask'")
    assert result.interrupts is not None
    assert [(found["node"], found["value"]) for found in result.interrupts] == [("ask", {"question": "how many more?"})]
    # And the thread goes on with an answer
    config: Any = {"configurable": {"thread_id": result.thread_id}}
    assert await graph.ainvoke(Command(resume={result.interrupts[0]["id"]: 5}), config) == {"n": 7}


async def test_a_question_that_nobody_could_answer_is_an_error() -> None:
    result = await answer(line(ask))
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("NotResumable", False)


async def test_a_breakpoint_ends_the_request_as_interrupted() -> None:
    graph = line(add, add_async).compile(checkpointer=InMemorySaver(), interrupt_before=["add_async"])
    result = await answer(graph)
    assert (result.status, result.interrupts) == (ResultStatus.INTERRUPTED, [{"node": "add_async"}])


async def test_token_counts_are_of_this_request_alone() -> None:
    def speak(state: MessagesState) -> dict[str, Any]:
        usage = UsageMetadata(input_tokens=10, output_tokens=5, total_tokens=15)
        return {"messages": [AIMessage("…", usage_metadata=usage)]}

    graph = line(speak, schema=MessagesState).compile(checkpointer=InMemorySaver())
    first = await answer(graph, request({"messages": []}, thread_id="t"))
    second = await answer(graph, request({"messages": ["hi"]}, thread_id="t"))
    expected = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert (first.usage, second.usage) == (expected, expected)
