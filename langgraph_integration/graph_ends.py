"""Where a graph ends, and how each of its ends is led on to one more node."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import END, START, StateGraph

from workflow_events.errors import ConfigurationError

__all__ = ["redirect_ends"]


def redirect_ends(builder: StateGraph[Any, Any, Any, Any], target: str) -> None:
    """Lead every end of a graph to the node ``target``, which is to be a deferred one.

    An end is an edge to ``END``, fixed or conditional, and a node that leads nowhere or may go to ``END`` by a
    ``Command``; also a condition that chooses nothing, such as a fan-out over an empty list.

    A conditional edge leads to ``target`` only where it would have gone to ``END``. Were there an edge beside it, the
    target would run together with what the condition sends out by ``Send``: LangGraph does not count that as work still
    to come.

    Raises:
        ConfigurationError: the graph has no end yet; or it has deferred nodes besides other ends, so that the target
            would run beside them.
    """
    fixed = [start for start, end in builder.edges if end == END and start != START]
    joined = [starts for starts, end in builder.waiting_edges if end == END]
    loose = [name for name in builder.nodes if _may_end(builder, name)]
    conditional = [
        source
        for source, branches in builder.branches.items()
        if any(branch.ends is None or END in branch.ends.values() for branch in branches.values())
    ]
    ends = {*fixed, *loose, *(start for starts in joined for start in starts), *conditional}
    if not ends:
        raise ConfigurationError("The graph has no end to put a result node at: add its nodes and edges first")
    deferred = {name for name, node in builder.nodes.items() if node.defer}
    if deferred and ends - deferred:
        raise ConfigurationError(
            f"The graph has deferred nodes ({_list(deferred)}) and can end elsewhere too ({_list(ends - deferred)}): tell "
            "publish_result_node with after= which node the result comes after"
        )
    for start in dict.fromkeys([*fixed, *loose]):
        builder.add_edge(start, target)
    for starts in joined:
        builder.waiting_edges.add((starts, target))
    for branches in builder.branches.values():
        for name, branch in branches.items():
            path = _Redirected(branch.path, target, named=branch.ends is None)
            branches[name] = branch._replace(path=path, ends=_led_on(branch.ends, target))


def _may_end(builder: StateGraph[Any, Any, Any, Any], name: str) -> bool:
    destinations = builder.nodes[name].ends
    if destinations:
        return END in destinations
    leads_on = any(start == name for start, _ in builder.edges) or name in builder.branches
    return not leads_on and not any(name in starts for starts, _ in builder.waiting_edges)


def _led_on(ends: dict[Hashable, str] | None, target: str) -> dict[Hashable, str] | None:
    if ends is None:
        return None
    return {**{label: target if end == END else end for label, end in ends.items()}, target: target}


def _list(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


class _Redirected(Runnable[Any, Any]):
    """A condition which goes to another node where it went to ``END``, or nowhere.

    Args:
        named: whether the condition returns names of nodes; else it returns labels, and a table tells the nodes.
    """

    def __init__(self, path: Runnable[Any, Any], target: str, *, named: bool) -> None:
        self._path = path
        self._target = target
        self._named = named
        self.name = path.get_name()

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self._lead_on(self._path.invoke(input, config, **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self._lead_on(await self._path.ainvoke(input, config, **kwargs))

    def _lead_on(self, chosen: Any) -> Any:
        if isinstance(chosen, list | tuple):
            return [self._instead_of(one) for one in chosen] or [self._target]
        return self._instead_of(chosen)

    def _instead_of(self, chosen: Any) -> Any:
        return self._target if self._named and chosen == END else chosen
