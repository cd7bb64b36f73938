"""One request in, exactly one result out, whatever the graph does."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypedDict
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_integration import WorkflowFailure, publish_result_node
from langgraph_integration.execution import GraphRunner
from langgraph_integration.graph_registry import GraphRegistry
from workflow_events import EventType, ResultStatus, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent

Builder = StateGraph[Any, Any, Any, Any]


class State(TypedDict, total=False):
    n: int
    other: Any


def line(*nodes: Any, schema: Any = State) -> Builder:
    builder = StateGraph(schema)
    for node in nodes:
        builder.add_node(node)
    builder.add_edge(START, nodes[0].__name__)
    for first, second in itertools.pairwise(nodes):
        builder.add_edge(first.__name__, second.__name__)
    return builder


def request(data: dict[str, Any] | None = None, **fields: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data if data is not None else {"n": 1}),
        **fields,
    )


async def answer(graph: object, event: WorkflowEvent | None = None, **options: Any) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        return await GraphRunner(graphs.choose, **options).answer(event or request())


def add(state: State) -> State:
    return {"n": state["n"] + 1}


async def add_async(state: State) -> State:
    return {"n": state["n"] + 1}


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


def lose_the_connection() -> NoReturn:
    raise ConnectionResetError("peer went away")


def break_down(state: State) -> State:
    try:
        lose_the_connection()
    except ConnectionResetError as error:
        raise ValueError("cannot go on") from error


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


def say_no(state: State) -> State:
    raise WorkflowFailure("the contract is void", result={"clause": 7})


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


# A request that was here before.


class Ledger:
    """Counts how often each node ran; a node can be told to fail."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fail_in: str | None = None

    def graph(self, saver: Any, **options: Any) -> Any:
        def node(name: str) -> Any:
            def run(state: State) -> State:
                if self.fail_in == name:
                    raise ConnectionError(f"{name} is down")
                self.ran.append(name)
                return {"n": state["n"] + 1}

            run.__name__ = name
            return run

        builder = publish_result_node(line(node("a"), node("b"), node("c")), select="n")
        return builder.compile(checkpointer=saver, **options)


async def test_a_finished_request_is_answered_from_its_checkpoint() -> None:
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver()), request()
    first, again = await answer(graph, event), await answer(graph, event)
    assert ledger.ran == ["a", "b", "c"]
    assert again.status is ResultStatus.SUCCESS
    assert (again.result, again.checkpoint_id) == (first.result, first.checkpoint_id)


async def test_a_broken_request_goes_on_where_it_broke() -> None:
    # Given a run that broke in its second node
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver()), request()
    ledger.fail_in = "b"
    assert (await answer(graph, event)).status is ResultStatus.ERROR
    # When it is asked again, as a next attempt
    ledger.fail_in = None
    result = await answer(graph, event.model_copy(update={"attempt": 2}))
    # Then the node that had finished did not run again
    assert (result.status, result.result, result.attempt) == (ResultStatus.SUCCESS, {"n": 4}, 2)
    assert ledger.ran == ["a", "b", "c"]


class DyingSaver(InMemorySaver):
    """Dies, as its process would, before it stores the checkpoint of one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.dies_at: int | None = step

    async def aput(self, config: Any, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any) -> Any:
        if metadata.get("step") == self.dies_at:
            raise OSError("the process is gone")
        return await super().aput(config, checkpoint, metadata, new_versions)


@pytest.mark.parametrize("step", range(-1, 5))
async def test_a_worker_that_died_at_any_step_has_its_run_gone_on_with(step: int) -> None:
    # Given a run whose process died between a node's end and the step's checkpoint
    ledger, saver = Ledger(), DyingSaver(step)
    graph, event = ledger.graph(saver), request()
    await answer(graph, event)
    # When the request is delivered again
    saver.dies_at = None
    result = await answer(graph, event)
    # Then it is answered in full, and what had been stored did not run again
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"n": 4})
    assert ledger.ran == ["a", "b", "c"]


async def test_a_thread_goes_on_with_a_new_request() -> None:
    ledger = Ledger()
    graph = ledger.graph(InMemorySaver())
    results = [await answer(graph, request({"n": n}, thread_id="t")) for n in (1, 10)]
    assert [result.result for result in results] == [{"n": 4}, {"n": 13}]


async def test_an_earlier_request_of_a_thread_is_answered_with_its_own_result() -> None:
    # Given a thread that has gone on with a second request
    ledger = Ledger()
    graph, first = ledger.graph(InMemorySaver()), request({"n": 1}, thread_id="t")
    await answer(graph, first)
    await answer(graph, request({"n": 10}, thread_id="t"))
    # When the first is delivered again, then its own result is found, and nothing runs
    assert (await answer(graph, first)).result == {"n": 4}
    assert len(ledger.ran) == 6


async def test_an_earlier_request_that_never_ended_is_not_taken_up_on_a_thread_that_went_on() -> None:
    ledger = Ledger()
    graph, first = ledger.graph(InMemorySaver()), request({"n": 1}, thread_id="t")
    ledger.fail_in = "b"
    await answer(graph, first)
    ledger.fail_in = None
    await answer(graph, request({"n": 10}, thread_id="t"))
    result = await answer(graph, first)
    assert result.error_detail is not None
    assert (result.status, result.error_detail.type) == (ResultStatus.ERROR, "Superseded")


async def test_a_request_at_a_question_is_answered_with_the_question_again() -> None:
    # Given a run that waits for an answer, and would count a second asking
    asked: list[int] = []

    def ask_once(state: State) -> State:
        asked.append(1)
        return {"n": interrupt("go on?")}

    graph, event = line(add, ask_once).compile(checkpointer=InMemorySaver()), request()
    first, again = await answer(graph, event), await answer(graph, event)
    assert again.status is ResultStatus.INTERRUPTED
    assert again.interrupts == first.interrupts
    assert asked == [1]


@pytest.mark.parametrize(
    "stop, node",
    [({"interrupt_before": ["b"]}, "b"), ({"interrupt_after": ["a"]}, "b"), ({"interrupt_after": "*"}, "b")],
)
async def test_a_request_at_a_breakpoint_stays_there(stop: dict[str, Any], node: str) -> None:
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver(), **stop), request()
    for _ in range(2):
        result = await answer(graph, event)
        assert (result.status, result.interrupts) == (ResultStatus.INTERRUPTED, [{"node": node}])
    assert ledger.ran == ["a"]


async def test_two_requests_do_not_share_a_thread_by_chance() -> None:
    saver = InMemorySaver()
    graph = Ledger().graph(saver)
    await asyncio.gather(answer(graph, request()), answer(graph, request()))
    threads = {UUID(str(found.config["configurable"]["thread_id"])) async for found in saver.alist(None)}
    assert len(threads) == 2
