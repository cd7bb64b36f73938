"""Runs that are watched, cancelled and handed over: what is heard of them, and that their results are the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, StreamWriter, interrupt

from langgraph_integration import publish_result_node
from langgraph_integration.cancellations import Cancel, Cancellations
from langgraph_integration.execution import GraphRunner, HandedOverError
from langgraph_integration.graph_registry import GraphRegistry
from langgraph_integration.supervision import HandOver, Supervision
from tests.unit.worker.test_execution import Builder, State, add, add_async, break_down, line, request, say_no
from workflow_events import ResultStatus, WorkflowEvent, WorkflowResultEvent


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self.durations: list[float] = []

    def run_started(self, *, resumed: bool) -> None:
        self.all.append(("run started", resumed))

    def node_started(self, node: str, step: int) -> None:
        self.all.append(("started", node, step))

    def node_finished(self, node: str, step: int, duration_ms: float) -> None:
        self.all.append(("finished", node, step))
        self.durations.append(duration_ms)

    def custom(self, node: str | None, data: object, step: int | None = None) -> None:
        self.all.append(("custom", node, data, step))


@pytest.fixture(params=["handed down", "astream"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard is heard by the stream that LangGraph hands down, and by its public one."""
    if request.param == "astream":
        monkeypatch.setattr("langgraph_integration.graph_stream._KEYS", None)


async def watched(
    graph: object, heard: Heard | None, event: WorkflowEvent | None = None, hand_over: HandOver | None = None
) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        supervision = Supervision(heard, None, hand_over or HandOver())
        return await GraphRunner(graphs.choose).answer(event or request(), supervision)


def speak(state: State) -> State:
    get_stream_writer()({"half": True})
    return {"n": state["n"] + 1}


@pytest.mark.usefixtures("either_way")
async def test_each_nodes_start_and_end_are_heard_and_what_it_says() -> None:
    heard = Heard()
    graph = line(add, speak).compile(checkpointer=InMemorySaver())
    result = await watched(graph, heard)
    assert result.result == {"n": 3}
    assert heard.all == [
        ("run started", False),
        ("started", "add", 1),
        ("finished", "add", 1),
        ("started", "speak", 2),
        ("custom", "speak", {"half": True}, 2),
        ("finished", "speak", 2),
    ]
    assert all(duration >= 0 for duration in heard.durations)


@pytest.mark.usefixtures("either_way")
async def test_a_subgraphs_nodes_are_heard_by_their_path() -> None:
    builder = StateGraph(State)
    builder.add_node("outer", line(speak).compile())
    builder.add_edge(START, "outer")
    heard = Heard()
    assert (await watched(builder.compile(), heard)).result == {"n": 2}
    assert [one[:2] for one in heard.all[1:]] == [
        ("started", "outer"),
        ("started", "outer|speak"),
        ("custom", "outer|speak"),
        ("finished", "outer|speak"),
        ("finished", "outer"),
    ]


async def test_what_parallel_nodes_say_is_heard_by_their_names() -> None:
    # Given two nodes that speak while both run, one of them from a thread of its own, and one inside a subgraph
    both = threading.Barrier(2)

    def left(state: State) -> None:
        both.wait(10)
        get_stream_writer()("l")
        both.wait(10)

    async def right(state: State) -> None:
        await asyncio.to_thread(both.wait, 10)
        get_stream_writer()("r")
        await asyncio.to_thread(both.wait, 10)

    def inside(state: State, writer: StreamWriter) -> None:
        writer("i")

    builder = StateGraph(State)
    builder.add_node("left", left)
    builder.add_node("right", right)
    builder.add_node("outer", line(inside).compile())
    for node in ("left", "right", "outer"):
        builder.add_edge(START, node)
    # When they run
    heard = Heard()
    await watched(builder.compile(), heard)
    # Then each is heard under its own name
    assert sorted(one[1:] for one in heard.all if one[0] == "custom") == [
        ("left", "l", 1),
        ("outer|inside", "i", 1),
        ("right", "r", 1),
    ]


def test_a_synchronous_subgraph_in_a_thread_is_heard_in_the_loop() -> None:
    # Given a node that runs a graph of its own in its thread
    inner = line(speak).compile()

    def outer(state: State) -> Any:
        return inner.invoke(state)

    threads = set[int]()

    class Where(Heard):
        def node_started(self, node: str, step: int) -> None:
            threads.add(threading.get_ident())
            super().node_started(node, step)

        def custom(self, node: str | None, data: object, step: int | None = None) -> None:
            threads.add(threading.get_ident())
            super().custom(node, data, step)

    heard = Where()
    result = asyncio.run(watched(line(outer).compile(), heard))
    # Then all of it is heard, in order, in the one thread
    assert result.result == {"n": 2}
    assert [one[:2] for one in heard.all[1:]] == [
        ("started", "outer"),
        ("started", "outer|speak"),
        ("custom", "outer|speak"),
        ("finished", "outer|speak"),
        ("finished", "outer"),
    ]
    assert threads == {threading.get_ident()}


async def test_a_thread_that_a_run_has_left_behind_is_not_heard() -> None:
    # Given a synchronous node that goes on after its run was stopped
    begun, go_on, gone = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(state: State) -> None:
        say = get_stream_writer()
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        say("too late")
        gone.set()

    heard = Heard()
    run = asyncio.create_task(watched(line(slow).compile(), heard))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    # When it says something
    go_on.set()
    await asyncio.to_thread(gone.wait, 10)
    await asyncio.sleep(0)
    # Then nobody hears it
    assert [one[0] for one in heard.all] == ["run started", "started"]


@pytest.mark.usefixtures("either_way")
async def test_a_node_that_breaks_is_heard_to_start_and_not_to_finish() -> None:
    heard = Heard()
    assert (await watched(line(add, break_down), heard)).status is ResultStatus.ERROR
    assert heard.all[-1] == ("started", "break_down", 2)


def ask(state: State) -> State:
    return {"other": interrupt("really?")}


def jump(state: State) -> Command[Any]:
    return Command(update={"n": 7}, goto="add")


def jumping() -> Builder:
    builder = StateGraph(State)
    builder.add_node(jump, destinations=("add",))
    builder.add_node(add)
    builder.add_edge(START, "jump")
    return builder


def fanned() -> Builder:
    builder = StateGraph(State)
    builder.add_node("first", add)
    builder.add_node("other", lambda state: {"other": state["n"]})
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", lambda _: [Send("other", {"n": 5})], ["other"])
    return builder


@entrypoint()
async def functional(data: dict[str, int]) -> int:
    return 2 * data["n"]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: line(add, add_async),
        lambda: publish_result_node(line(add), select="n"),
        lambda: line(break_down),
        lambda: line(say_no),
        lambda: line(add, ask),
        jumping,
        fanned,
        lambda: functional,
    ],
    ids=["line", "result node", "broken", "no", "question", "command", "send", "functional"],
)
async def test_a_watched_run_has_the_result_of_one_that_is_not(make: Callable[[], Any], *, checkpointed: bool) -> None:
    def graph() -> Any:
        made = make()
        return made.compile(checkpointer=InMemorySaver()) if checkpointed and isinstance(made, StateGraph) else made

    event = request()
    alone, seen = await watched(graph(), None, event), await watched(graph(), Heard(), event)
    own = {"timestamp", "started_at", "duration_ms", "checkpoint_id", "interrupts"}
    assert seen.model_dump(exclude=own) == alone.model_dump(exclude=own)
    assert (seen.checkpoint_id is None) == (alone.checkpoint_id is None)
    assert [one["value"] for one in seen.interrupts or ()] == [one["value"] for one in alone.interrupts or ()]


@pytest.mark.usefixtures("either_way")
async def test_a_run_that_goes_on_says_so_and_does_not_announce_what_had_ended() -> None:
    # Given a run of which one of two parallel nodes broke
    fail = True

    def fragile(state: State) -> State:
        if fail:
            raise ConnectionError("away")
        return {"other": 1}

    builder = StateGraph(State)
    builder.add_node(add)
    builder.add_node(fragile)
    builder.add_edge(START, "add")
    builder.add_edge(START, "fragile")
    graph, event = builder.compile(checkpointer=InMemorySaver()), request()
    assert (await watched(graph, Heard(), event)).status is ResultStatus.ERROR
    # When it is asked again
    fail, heard = False, Heard()
    result = await watched(graph, heard, event.model_copy(update={"attempt": 2}))
    # Then only the other one is heard
    assert result.result == {"n": 2, "other": 1}
    assert heard.all == [("run started", True), ("started", "fragile", 1), ("finished", "fragile", 1)]


async def test_an_answer_from_the_checkpoint_is_no_run_to_be_heard_of() -> None:
    graph, event, heard = line(add).compile(checkpointer=InMemorySaver()), request(), Heard()
    await watched(graph, None, event)
    assert (await watched(graph, heard, event)).result == {"n": 2}
    assert heard.all == []


# Cancelled.


class Steps:
    """``add``, then ``wait``, which waits at a gate; and a count of what ran."""

    def __init__(self, saver: Any = None) -> None:
        self.ran: list[str] = []
        self.waits = asyncio.Event()
        self.gate = asyncio.Event()
        self.cleaned_up = False

        async def first(state: State) -> State:
            self.ran.append("first")
            return {"n": state["n"] + 1}

        async def wait(state: State) -> State:
            self.waits.set()
            try:
                await self.gate.wait()
            finally:
                self.cleaned_up = True
            self.ran.append("wait")
            return {"n": state["n"] * 2}

        async def last(state: State) -> State:
            self.ran.append("last")
            return {"n": state["n"] + 100}

        self.graph = line(first, wait, last).compile(checkpointer=saver)


async def cancellable(graph: object, event: WorkflowEvent, cancellations: Cancellations) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        with cancellations.watching(event) as cancellation:
            return await GraphRunner(graphs.choose).answer(event, Supervision(Heard(), cancellation))


async def test_a_cancelled_run_stops_and_its_next_attempt_goes_on() -> None:
    # Given a run in its second node
    steps, event, cancellations = Steps(InMemorySaver()), request(), Cancellations()
    run = asyncio.create_task(cancellable(steps.graph, event, cancellations))
    await steps.waits.wait()
    # When it is cancelled
    assert cancellations.add(Cancel(event.event_id, 1, "marked as failed")) == 1
    result = await run
    # Then the node was stopped, and the result says why and where it can go on
    assert steps.cleaned_up
    assert (result.status, result.error) == (ResultStatus.CANCELLED, "The request was cancelled: marked as failed")
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("Cancelled", False)
    assert result.checkpoint_id is not None
    # And the next attempt, which the cancel does not mean, goes on there
    steps.gate.set()
    again = await cancellable(steps.graph, event.model_copy(update={"attempt": 2}), cancellations)
    assert (again.status, again.result) == (ResultStatus.SUCCESS, {"n": 104})
    assert steps.ran == ["first", "wait", "last"]


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_a_request_whose_cancel_came_first_runs_nothing(saver: Any) -> None:
    steps, event, cancellations = Steps(saver), request(), Cancellations()
    cancellations.add(Cancel(event.event_id, 1))
    result = await cancellable(steps.graph, event, cancellations)
    assert (result.status, result.checkpoint_id) == (ResultStatus.CANCELLED, None)
    assert steps.ran == []


async def test_a_finished_request_stays_finished_whatever_cancel_comes() -> None:
    graph, event, cancellations = line(add).compile(checkpointer=InMemorySaver()), request(), Cancellations()
    await cancellable(graph, event, cancellations)
    cancellations.add(Cancel(event.event_id, 1))
    result = await cancellable(graph, event, cancellations)
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"n": 2})


# Handed over.


async def test_a_run_that_is_to_be_handed_over_ends_its_step_and_the_next_worker_begins_none_again(
    tmp_path: Path,
) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        # Given a run in its second node, and a worker that is to stop
        steps, event, hand_over = Steps(saver), request(), HandOver()
        run = asyncio.create_task(watched(steps.graph, Heard(), event, hand_over))
        await steps.waits.wait()
        hand_over.ask()
        # When the node ends, then so does the run, without an answer
        steps.gate.set()
        with pytest.raises(HandedOverError):
            await run
        assert steps.ran == ["first", "wait"]
        # And the next worker runs the rest
        result = await watched(steps.graph, Heard(), event)
        assert result.result == {"n": 104}
        assert steps.ran == ["first", "wait", "last"]


async def test_a_run_in_its_last_step_is_answered_and_not_handed_over(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        hand_over = HandOver()

        def stop_here(state: State) -> State:
            hand_over.ask()
            return {"n": 5}

        graph = line(stop_here).compile(checkpointer=saver)
        assert (await watched(graph, None, request(), hand_over)).result == {"n": 5}


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_a_run_without_lasting_checkpoints_goes_on_to_its_end(saver: Any) -> None:
    steps, hand_over = Steps(saver), HandOver()
    hand_over.ask()
    steps.gate.set()
    assert (await watched(steps.graph, Heard(), request(), hand_over)).result == {"n": 104}


async def test_a_graph_that_drains_itself_is_answered(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:

        def give_up(state: State, runtime: Any) -> State:
            runtime.control.request_drain("tired")
            return {"n": 1}

        give_up.__annotations__.pop("runtime")
        result = await watched(line(give_up, add).compile(checkpointer=saver), None)
        assert result.status is ResultStatus.ERROR
        assert "tired" in (result.error or "")
