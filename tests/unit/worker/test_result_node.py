"""The node hook: it sees the state of the very end, once, whichever way a graph ends."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from pydantic import BaseModel

from langgraph_integration import publish_result_node
from langgraph_integration.errors import UnserializableError
from langgraph_integration.result_node import RESULT_CHANNEL
from workflow_events import ConfigurationError


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[str], operator.add]


class Model(BaseModel):
    n: int
    doubled: int = 0


@dataclass
class Data:
    n: int
    doubled: int = 0


Builder = StateGraph[Any, Any, Any, Any]


def line() -> Builder:
    """START - a - b, with no edge to END."""
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"], "n": state["n"] + 1})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder


async def recorded(builder: Builder, data: dict[str, Any]) -> object:
    graph = builder.compile()
    keys = [*graph.output_channels, RESULT_CHANNEL]
    return (await graph.ainvoke(data, output_keys=keys)).get(RESULT_CHANNEL)


@pytest.mark.parametrize(
    "select, result",
    [
        pytest.param(None, {"n": 2, "log": ["a", "b"]}, id="everything"),
        pytest.param("n", {"n": 2}, id="one key"),
        pytest.param(["log"], {"log": ["a", "b"]}, id="several keys"),
        pytest.param(lambda state: {"length": len(state["log"])}, {"length": 2}, id="a callable"),
        pytest.param(lambda state: Model(n=state["n"]), {"n": 2, "doubled": 0}, id="a callable that returns a model"),
    ],
)
async def test_what_is_selected_is_recorded(select: Any, result: object) -> None:
    assert await recorded(publish_result_node(line(), select=select), {"n": 1}) == result


@pytest.mark.parametrize("schema", [Model, Data])
async def test_the_state_may_be_a_model_or_a_dataclass(schema: Any) -> None:
    builder = StateGraph(schema)
    builder.add_node("double", lambda state: {"doubled": 2 * state.n})
    builder.add_edge(START, "double")
    assert await recorded(publish_result_node(builder, select=["n", "doubled"]), {"n": 4}) == {"n": 4, "doubled": 8}


async def test_without_the_hook_asked_for_the_graph_returns_what_it_did_before() -> None:
    graph = publish_result_node(line(), select="n").compile()
    assert await graph.ainvoke({"n": 1}) == {"n": 2, "log": ["a", "b"]}


async def test_the_result_is_in_the_checkpoint_and_a_later_run_forgets_it() -> None:
    # Given a graph whose result is taken after a node that not every run passes
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_conditional_edges(START, lambda state: "a" if state["n"] else "b", ["a", "b"])
    graph = publish_result_node(builder, select="n", after="a").compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    # When a run passes it, then its result is in the checkpoint
    await graph.ainvoke({"n": 1}, config)
    assert (await graph.aget_state(config)).values[RESULT_CHANNEL] == {"n": 1}
    # When the next run on the thread does not, then the checkpoint holds no result of an earlier run
    await graph.ainvoke({"n": 0}, config)
    assert RESULT_CHANNEL not in (await graph.aget_state(config)).values


def choose(state: State) -> Literal["b", "__end__"]:
    return "b" if state["n"] < 5 else "__end__"


def choose_undeclared(state: State) -> str:
    return "b" if state["n"] < 5 else END


def fan_out(state: State) -> list[Send]:
    return [Send("work", {"n": number}) for number in range(state["n"])]


def fan_out_or_end(state: State) -> Any:
    return fan_out(state) or END


def conditional(path: Any, *path_map: Any) -> Builder:
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", path, *path_map)
    builder.add_edge("b", END)
    return builder


def fanned_out(path: Any, *path_map: Any) -> Builder:
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"log": ["plan"]})
    builder.add_node("work", lambda state: {"log": [str(state["n"])]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", path, *path_map)
    return builder


def commanding() -> Builder:
    def a(state: State) -> Command[Literal["b", "__end__"]]:
        return Command(goto="b" if state["n"] < 5 else "__end__", update={"log": ["a"]})

    builder = StateGraph(State)
    builder.add_node("a", a)
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_edge(START, "a")
    return builder


def joined() -> Builder:
    builder = StateGraph(State)
    for name in ("a", "b", "b2"):
        builder.add_node(name, lambda state, name=name: {"log": [name]})
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    builder.add_edge("b", "b2")
    builder.add_edge(["a", "b2"], END)
    return builder


def map_reduce() -> Builder:
    builder = fanned_out(fan_out, ["work"])
    builder.add_node("reduce", lambda state: {"log": ["reduce"]}, defer=True)
    builder.add_edge("work", "reduce")
    return builder


@pytest.mark.parametrize(
    "builder, n, log",
    [
        pytest.param(line(), 1, ["a", "b"], id="a node that leads nowhere"),
        pytest.param(conditional(choose), 9, ["a"], id="declared condition, end"),
        pytest.param(conditional(choose), 1, ["a", "b"], id="declared condition, on"),
        pytest.param(conditional(choose_undeclared), 9, ["a"], id="undeclared condition, end"),
        pytest.param(conditional(choose_undeclared), 1, ["a", "b"], id="undeclared condition, on"),
        pytest.param(conditional(lambda s: "stop", {"stop": END, "go": "b"}), 1, ["a"], id="labelled condition"),
        pytest.param(commanding(), 9, ["a"], id="command, end"),
        pytest.param(commanding(), 1, ["a", "b"], id="command, on"),
        pytest.param(joined(), 1, ["a", "b", "b2"], id="a join of branches of different length"),
        pytest.param(fanned_out(fan_out, ["work"]), 2, ["plan", "0", "1"], id="fan-out"),
        pytest.param(fanned_out(fan_out, ["work"]), 0, ["plan"], id="fan-out over nothing"),
        pytest.param(fanned_out(fan_out_or_end), 2, ["plan", "0", "1"], id="undeclared fan-out"),
        pytest.param(fanned_out(fan_out_or_end), 0, ["plan"], id="undeclared fan-out, end"),
        pytest.param(map_reduce(), 2, ["plan", "0", "1", "reduce"], id="map and deferred reduce"),
    ],
)
async def test_the_hook_runs_once_at_the_end_whichever_way_a_graph_ends(
    builder: Builder, n: int, log: list[str]
) -> None:
    # Given a graph with one of the ways to end, and a hook that counts its calls
    seen: list[list[str]] = []

    def select(state: State) -> dict[str, Any]:
        seen.append(state["log"])
        return {"log": state["log"]}

    # When it runs
    result = await recorded(publish_result_node(builder, select=select), {"n": n})
    # Then the hook saw the whole log, and was called once
    assert result == {"log": log}
    assert seen == [log]


async def test_a_condition_in_async_code_is_led_on_too() -> None:
    async def decide(state: State) -> str:
        return END

    assert await recorded(publish_result_node(conditional(decide), select="log"), {"n": 1}) == {"log": ["a"]}


async def test_after_may_name_the_nodes() -> None:
    builder = publish_result_node(line(), select="log", after=["b"])
    assert await recorded(builder, {"n": 1}) == {"log": ["a", "b"]}


async def test_a_key_that_the_state_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="no 'verdict' for the result; it has 'n', 'log'"):
        await recorded(publish_result_node(line(), select="verdict"), {"n": 1})


async def test_what_has_no_plain_form_fails_in_the_node_and_is_named() -> None:
    with pytest.raises(UnserializableError, match=r"result\.handle"):
        await recorded(publish_result_node(line(), select=lambda state: {"handle": object()}), {"n": 1})


async def test_a_result_that_is_no_object_is_refused() -> None:
    def answer(state: State) -> Any:
        return 42

    with pytest.raises(TypeError, match="what answer returned is a int"):
        await recorded(publish_result_node(line(), select=answer), {"n": 1})


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no node 'c'; it has 'a', 'b'"):
        publish_result_node(line(), after=["a", "c"])


def test_an_empty_graph_has_no_end() -> None:
    with pytest.raises(ConfigurationError, match="no end"):
        publish_result_node(StateGraph(State))


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="another name="):
        publish_result_node(line(), name="a")


def test_an_end_that_is_not_unique_has_to_be_named() -> None:
    # Given a graph with a deferred node, and another end beside it
    builder = line()
    builder.add_node("audit", lambda state: {}, defer=True)
    builder.add_edge("a", "audit")
    # Then the default is refused, and after= is taken
    with pytest.raises(ConfigurationError, match=r"deferred nodes \('audit'\).*elsewhere too \('b'\).*after="):
        publish_result_node(builder)
    publish_result_node(builder, after="audit").compile()
