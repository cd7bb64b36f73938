"""Runs that somebody watches: what is heard of them, and that their results are the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, StreamWriter, interrupt

from langgraph_integration import publish_result_node
from tests.unit.worker.running import (
    Builder,
    Heard,
    State,
    add,
    add_async,
    break_down,
    line,
    request,
    say_no,
    watched,
)
from workflow_events import ResultStatus


@pytest.fixture(params=["handed down", "astream"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard is heard by the stream that LangGraph hands down, and by its public one."""
    if request.param == "astream":
        monkeypatch.setattr("langgraph_integration.graph_stream._KEYS", None)


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
