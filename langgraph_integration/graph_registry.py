"""Which graphs a worker has, and which of them a request means."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from langgraph_integration.errors import UnknownGraphError
from langgraph_integration.graph_file import apply_environment, extend_path, read_graph_file
from langgraph_integration.graph_loading import load_object
from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from langchain_core.runnables import RunnableConfig

    from workflow_events.events import WorkflowEvent

__all__ = ["GraphRegistry", "RegisteredGraph", "graphs_from_file"]

Graph = Pregel[Any, Any, Any, Any]
_Factory = Callable[..., Any]


def graphs_from_file(path: Path | str) -> dict[str, object]:
    """The graphs of a ``langgraph.json``, by name, loaded; its environment and its local dependencies take effect.

    Raises:
        ConfigurationError: the file or a graph cannot be loaded; the message says the file and the key.
    """
    file = read_graph_file(path)
    apply_environment(file)
    extend_path(file.search_path)
    return {
        name: load_object(reference, folder=file.folder, where=f"{file.path}: graphs.{name}")
        for name, reference in file.graphs.items()
    }


class RegisteredGraph:
    """One graph, ready to run or to be made for a run.

    Args:
        source: the graph, or what makes one for a config.
    """

    def __init__(self, name: str, source: Graph | _Make) -> None:
        self.name = name
        self._source = source

    @asynccontextmanager
    async def open(self, config: RunnableConfig) -> AsyncIterator[Graph]:
        """The graph for one run with this config."""
        if isinstance(self._source, Pregel):
            yield self._source
        else:
            async with self._source(config) as graph:
                yield graph


_Make = Callable[["RunnableConfig"], AbstractAsyncContextManager[Graph]]


class GraphRegistry:
    """The graphs of one worker.

    A graph may be given as a compiled graph, a ``StateGraph``, an ``@entrypoint``, or a factory: a function, sync or
    async, which returns one of these or a context manager of one. A factory without arguments is called once, when the
    worker starts. A factory with one argument gets a run's config and is called for every run, as in LangGraph's server.

    A graph that has no checkpointer gets the worker's, on a copy. One that has its own keeps it, and so does one that
    was compiled with ``checkpointer=False``.

    Args:
        sources: the graphs, by name.
        checkpointer: the worker's.
    """

    def __init__(self, sources: Mapping[str, object], *, checkpointer: BaseCheckpointSaver[Any] | None = None) -> None:
        self._sources = dict(sources)
        self._checkpointer = checkpointer
        self._graphs: dict[str, RegisteredGraph] = {}
        self._resources = AsyncExitStack()

    @property
    def names(self) -> list[str]:
        """The names of all graphs."""
        return list(self._sources)

    async def __aenter__(self) -> Self:
        """Make all graphs that can be made without a run.

        Raises:
            ConfigurationError: one of them is no graph, or cannot be run by a worker.
        """
        async with AsyncExitStack() as stack:
            for name, source in self._sources.items():
                self._graphs[name] = await self._register(name, source, stack)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._graphs.clear()
        await self._resources.aclose()

    def choose(self, event: WorkflowEvent) -> RegisteredGraph:
        """The graph that a request means: its payload's ``graph``, else its ``workflow_id``, else the only one.

        Raises:
            UnknownGraphError: there is none of that name.
        """
        asked = event.payload.graph
        found = self._graphs.get(asked or event.workflow_id)
        if found is None and asked is None and len(self._graphs) == 1:
            found = next(iter(self._graphs.values()))
        if found is None:
            raise UnknownGraphError(
                f"This worker has no graph {asked or event.workflow_id!r}; it has {', '.join(map(repr, self._graphs))}"
            )
        return found

    async def _register(self, name: str, source: object, stack: AsyncExitStack) -> RegisteredGraph:
        if not callable(source) or isinstance(source, Pregel | StateGraph):
            return RegisteredGraph(name, await _checked(name, self._ready(name, source)))
        if _takes_config(name, source):
            return RegisteredGraph(name, self._maker(name, source))
        made = await stack.enter_async_context(_made(source()))
        return RegisteredGraph(name, await _checked(name, self._ready(name, made)))

    def _maker(self, name: str, factory: _Factory) -> _Make:
        @asynccontextmanager
        async def make(config: RunnableConfig) -> AsyncIterator[Graph]:
            async with _made(factory(config)) as made:
                yield self._ready(name, made)

        return make

    def _ready(self, name: str, found: object) -> Graph:
        if isinstance(found, StateGraph):
            try:
                found = found.compile()
            except ValueError as error:
                raise ConfigurationError(f"Graph {name!r} does not compile: {error}") from error
        if not isinstance(found, Pregel):
            raise ConfigurationError(
                f"Graph {name!r} is a {type(found).__module__}.{type(found).__qualname__}; a worker runs compiled graphs, "
                "StateGraph, @entrypoint, and functions that return one of these"
            )
        if found.checkpointer is True:
            raise ConfigurationError(
                f"Graph {name!r} was compiled with checkpointer=True, which only a subgraph can be: leave it out"
            )
        graph: Graph = found
        if graph.checkpointer is None and self._checkpointer is not None:
            graph = graph.copy({"checkpointer": self._checkpointer})
        return graph


def _takes_config(name: str, factory: _Factory) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"Graph {name!r}: the arguments of {factory!r} cannot be told: {error}") from error
    required = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if len(required) > 1 or any(parameter.kind is parameter.KEYWORD_ONLY for parameter in required):
        raise ConfigurationError(
            f"Graph {name!r}: a factory takes no argument or one, the run's config; this one takes "
            f"{', '.join(parameter.name for parameter in required)}"
        )
    return len(required) == 1


@asynccontextmanager
async def _made(product: object) -> AsyncIterator[object]:
    """What a factory returned: a graph, an awaitable of one, or a context manager of one."""
    if isinstance(product, AbstractAsyncContextManager):
        async with product as graph:
            yield graph
    elif isinstance(product, AbstractContextManager):
        with product as graph:
            yield graph
    elif isinstance(product, Awaitable):
        async with _made(await product) as graph:
            yield graph
    else:
        yield product


async def _checked(name: str, graph: Graph) -> Graph:
    """The graph, unless something would go wrong in the middle of its first run."""
    saver = graph.checkpointer
    if not isinstance(saver, BaseCheckpointSaver):
        if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
            raise ConfigurationError(
                f"Graph {name!r} has breakpoints (interrupt_before, interrupt_after) and no checkpointer, so it could never "
                "go on: set WORKFLOW_WORKER_CHECKPOINTER, or compile it with a checkpointer"
            )
        return graph
    try:
        await saver.aget_tuple({"configurable": {"thread_id": "workflow-worker-check", "checkpoint_ns": ""}})
    except NotImplementedError as error:
        raise ConfigurationError(
            f"Graph {name!r} has the checkpointer {type(saver).__name__}, which has no asynchronous methods: use its "
            "Async form, or leave the checkpointer to the worker"
        ) from error
    return graph
