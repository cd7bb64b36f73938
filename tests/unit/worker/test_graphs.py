"""Where graphs come from, what may stand there, and which of them a request means."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph

from langgraph_integration.errors import UnknownGraphError
from langgraph_integration.graph_registry import GraphRegistry, graphs_from_file
from workflow_events import ConfigurationError, EventType, WorkflowEvent, WorkflowEventPayload


class State(TypedDict):
    n: int


def builder() -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(State)
    graph.add_node("add", lambda state: {"n": state["n"] + 1})
    graph.add_edge(START, "add")
    return graph


@entrypoint()
async def functional(data: dict[str, int]) -> dict[str, int]:
    return {"n": data["n"] + 1}


def sync_factory() -> Any:
    return builder().compile()


async def async_factory() -> Any:
    return builder()


@asynccontextmanager
async def async_context() -> AsyncIterator[Any]:
    yield builder().compile()


@contextmanager
def sync_context() -> Iterator[Any]:
    yield builder().compile()


def with_config(config: RunnableConfig) -> Any:
    assert config["configurable"]["thread_id"]
    return builder()


async def async_with_config(config: RunnableConfig) -> Any:
    return with_config(config)


@asynccontextmanager
async def context_with_config(config: RunnableConfig, tries: int = 3) -> AsyncIterator[Any]:
    yield with_config(config)


def request(workflow_id: str = "w", graph: str | None = None) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id=workflow_id,
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"n": 1}, graph=graph),
    )


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(builder().compile(), id="compiled"),
        pytest.param(builder(), id="builder"),
        pytest.param(functional, id="entrypoint"),
        pytest.param(sync_factory, id="factory"),
        pytest.param(async_factory, id="async factory"),
        pytest.param(async_context, id="async context"),
        pytest.param(sync_context, id="context"),
        pytest.param(with_config, id="factory with config"),
        pytest.param(async_with_config, id="async factory with config"),
        pytest.param(context_with_config, id="context with config"),
    ],
)
async def test_every_kind_of_graph_runs_and_gets_the_workers_checkpointer(source: object) -> None:
    # Given a worker's checkpointer and a graph of one kind
    saver = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    # When it runs
    async with (
        GraphRegistry({"w": source}, checkpointer=saver) as graphs,
        graphs.choose(request()).open(config) as graph,
    ):
        assert await graph.ainvoke({"n": 1}, config) == {"n": 2}
    # Then the worker's checkpointer holds the run
    assert await saver.aget_tuple(config) is not None


async def test_a_graphs_own_checkpointer_wins() -> None:
    own, workers = InMemorySaver(), InMemorySaver()
    async with (
        GraphRegistry({"w": builder().compile(checkpointer=own)}, checkpointer=workers) as graphs,
        graphs.choose(request()).open({}) as graph,
    ):
        assert graph.checkpointer is own


async def test_a_graph_that_wants_no_checkpointer_gets_none() -> None:
    async with (
        GraphRegistry({"w": builder().compile(checkpointer=False)}, checkpointer=InMemorySaver()) as graphs,
        graphs.choose(request()).open({}) as graph,
    ):
        assert graph.checkpointer is False


async def test_the_given_graph_is_not_changed() -> None:
    graph = builder().compile()
    async with GraphRegistry({"w": graph}, checkpointer=InMemorySaver()):
        assert graph.checkpointer is None


async def test_a_factory_without_arguments_is_called_once_and_its_context_ends_with_the_worker() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def counted() -> AsyncIterator[Any]:
        seen.append("begin")
        yield builder()
        seen.append("end")

    async with GraphRegistry({"w": counted}) as graphs:
        for _ in range(2):
            async with graphs.choose(request()).open({}):
                pass
        assert seen == ["begin"]
    assert seen == ["begin", "end"]


def several_arguments(config: RunnableConfig, name: str) -> Any:
    return builder()


class SyncOnlySaver(BaseCheckpointSaver[str]):
    pass


@pytest.mark.parametrize(
    "source, message",
    [
        pytest.param(42, "is a builtins.int", id="no graph"),
        pytest.param(lambda: "x", "is a builtins.str", id="a factory of no graph"),
        pytest.param(several_arguments, "takes config, name", id="too many arguments"),
        pytest.param(builder().compile(checkpointer=True), "checkpointer=True", id="a subgraph's checkpointer"),
        pytest.param(StateGraph(State), "does not compile", id="an empty builder"),
        pytest.param(builder().compile(interrupt_before=["add"]), "has breakpoints", id="breakpoints alone"),
        pytest.param(
            builder().compile(checkpointer=SyncOnlySaver()), "no asynchronous methods", id="sync checkpointer"
        ),
    ],
)
async def test_what_cannot_run_is_refused_at_the_start(source: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        async with GraphRegistry({"w": source}):
            pass


@pytest.mark.parametrize(
    "names, event, chosen",
    [
        pytest.param(["a", "b"], request("b"), "b", id="by workflow id"),
        pytest.param(["a", "b"], request("b", graph="a"), "a", id="by the payload's graph first"),
        pytest.param(["a"], request("some_dag"), "a", id="the only one"),
        pytest.param(["a", "b"], request("some_dag"), None, id="none of several"),
        pytest.param(["a"], request("some_dag", graph="b"), None, id="not the only one where another is named"),
    ],
)
async def test_which_graph_a_request_means(names: list[str], event: WorkflowEvent, chosen: str | None) -> None:
    async with GraphRegistry(dict.fromkeys(names, builder())) as graphs:
        if chosen is None:
            with pytest.raises(UnknownGraphError, match="it has 'a'"):
                graphs.choose(event)
        else:
            assert graphs.choose(event).name == chosen


MODULE = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from {helper} import step

class State(TypedDict):
    n: int

builder = StateGraph(State)
builder.add_node("step", step)
builder.add_edge(START, "step")
graph = builder.compile()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a graph in a file, which imports a module from a local dependency."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    helper = f"helper_{tmp_path.name.replace('-', '_')}"
    (tmp_path / "lib" / "src").mkdir(parents=True)
    (tmp_path / "lib" / "src" / f"{helper}.py").write_text("def step(state): return {'n': state['n'] + 1}\n")
    (tmp_path / "agent.py").write_text(MODULE.format(helper=helper))
    yield tmp_path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, **contents: object) -> Path:
    path = folder / "langgraph.json"
    path.write_text(json.dumps(contents))
    return path


async def test_a_langgraph_json_is_loaded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a file with both forms of a graph, an environment file and a local dependency
    monkeypatch.delenv("WORKER_TEST_KEY", raising=False)
    (project / "my.env").write_text("WORKER_TEST_KEY=from file\n")
    path = write(
        project,
        graphs={"a": "./agent.py:graph", "b": {"path": "agent.py:builder", "description": "the same"}},
        env="my.env",
        dependencies=["./lib", "pydantic>=2", "."],
        python_version="3.11",
    )
    # When it is loaded
    async with GraphRegistry(graphs_from_file(path)) as graphs, graphs.choose(request("b")).open({}) as graph:
        # Then its graphs run, and its environment holds
        assert await graph.ainvoke({"n": 1}) == {"n": 2}
    assert os.environ.pop("WORKER_TEST_KEY") == "from file"


def test_the_environment_that_is_set_already_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_TEST_KEY", "deployed")
    path = write(
        project,
        graphs={"a": "agent.py:graph"},
        env={"WORKER_TEST_KEY": "file", "WORKER_TEST_FLAG": True},
        dependencies=["./lib"],
    )
    monkeypatch.setenv("WORKER_TEST_FLAG", "")
    graphs_from_file(path)
    assert os.environ["WORKER_TEST_KEY"] == "deployed"


def test_a_module_is_named_by_its_import_path(project: Path) -> None:
    path = write(project, graphs={"a": "agent:graph"}, dependencies=[".", "./lib"])
    assert list(graphs_from_file(path)) == ["a"]


@pytest.mark.parametrize(
    "contents, message",
    [
        pytest.param(
            {"graphs": {"a": "agent.py"}}, r"langgraph.json: graphs.a: 'agent.py' does not say", id="no attribute"
        ),
        pytest.param({"graphs": {"a": "other.py:g"}}, r"graphs.a: there is no file 'other.py'", id="no file"),
        pytest.param({"graphs": {"a": "no_such_module_x:g"}}, r"graphs.a: there is no module", id="no module"),
        pytest.param({"graphs": {"a": "agent.py:nothing"}}, r"has no 'nothing'; it has .*graph", id="no such name"),
        pytest.param({"graphs": {"a": "agent.ts:g"}}, "JavaScript", id="JavaScript"),
        pytest.param({"graphs": {"a": "broken.py:g"}}, "importing broken.py failed: ZeroDivisionError", id="broken"),
        pytest.param({"graphs": {}}, "graphs", id="no graphs"),
        pytest.param({"graphs": {"a": {"description": "d"}}}, r"graphs\.a", id="no path"),
        pytest.param(
            {"graphs": {"a": "agent.py:graph"}, "env": "no.env"}, "env: there is no file 'no.env'", id="no env"
        ),
        pytest.param({"graphs": {"a": "agent.py:graph"}, "dependencies": ["./no"]}, "no folder './no'", id="no folder"),
        pytest.param(
            {"graphs": {"a": "agent.py:graph"}, "dependencies": ["no-such-package-x"]},
            "is not installed",
            id="no package",
        ),
        pytest.param(
            {"graphs": {"a": "agent.py:graph"}, "dependencies": ["pydantic<1"]},
            r"'pydantic<1' is asked for",
            id="version",
        ),
        pytest.param({"graphs": {"a": "agent.py:graph"}, "dependencies": ["a b"]}, "neither a path", id="nonsense"),
    ],
)
def test_what_does_not_hold_is_named_by_file_and_key(project: Path, contents: dict[str, Any], message: str) -> None:
    (project / "broken.py").write_text("1 / 0\n")
    path = write(project, **{"dependencies": ["./lib"], **contents})
    with pytest.raises(ConfigurationError, match=message) as caught:
        graphs_from_file(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.json: cannot be read"):
        graphs_from_file(tmp_path / "no.json")


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"not a langgraph\.json"):
        graphs_from_file(tmp_path / "langgraph.json")
