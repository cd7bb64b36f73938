"""The node hook: a last node which chooses what part of a graph's state is its result.

The node records the result in the checkpoint, as plain JSON, under a channel of its own. A worker publishes it from
there, also when a request is delivered again after its run has ended. Without a worker the node only records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypedDict, TypeVar

from langgraph.channels import EphemeralValue
from langgraph.graph import END, StateGraph
from pydantic import BaseModel

from langgraph_integration.graph_ends import redirect_ends
from langgraph_integration.serialization import to_plain_json
from workflow_events.errors import ConfigurationError

__all__ = ["RESULT_CHANNEL", "Select", "publish_result_node"]

RESULT_CHANNEL = "__workflow_result__"
"""The private channel that holds the result."""

Select = str | Sequence[str] | Callable[[Any], Mapping[str, Any] | BaseModel]

_Builder = TypeVar("_Builder", bound=StateGraph[Any, Any, Any, Any])


class _Recorded(TypedDict):
    # Ephemeral: the next run on the same thread forgets it in its first step, so that a run which ends without coming
    # through the node does not answer with an earlier run's result.
    __workflow_result__: Annotated[dict[str, Any], EphemeralValue]


def publish_result_node(
    builder: _Builder,
    *,
    select: Select | None = None,
    after: str | Sequence[str] | None = None,
    name: str = "publish_result",
) -> _Builder:
    """Add a last node which records what part of the state is the result. Call it when the graph is otherwise built.

    The node is deferred: where branches run in parallel, it waits for all of them.

    Args:
        builder: the graph; it is changed in place.
        select: which part. A key, or several: an object of just these keys. A callable: takes the state, returns the
            object (a mapping or a pydantic model), and may raise :class:`WorkflowFailure`. None: the whole state.
        after: the node or nodes that the result comes after; whatever else they lead to, the node runs after them.
            None: wherever the graph ends now, that is at each edge to ``END``, fixed or conditional, and after each node
            that leads nowhere or may end the run by a ``Command``.
        name: the node's name.

    Returns:
        ``builder``, to go on with.

    Raises:
        ConfigurationError: ``after`` names a node that is not there; or it is missing where the end cannot be told: the
            graph has no node, or has deferred nodes besides other ends; or the name is taken.
    """
    if name in builder.nodes:
        raise ConfigurationError(f"The graph has a node {name!r} already: give publish_result_node another name=")
    choose = _chooser(select)

    def publish_result(state: Any) -> dict[str, Any]:  # no schema in the annotation: the node reads the whole state
        return {RESULT_CHANNEL: choose(state)}

    if after is None:
        redirect_ends(builder, name)
    else:
        for source in _known(builder, after):
            builder.add_edge(source, name)
    builder.add_node(name, publish_result, defer=True, input_schema=builder.state_schema)
    # The way to END goes over a function whose argument is typed: that is how LangGraph lets a channel be added to a
    # graph from outside its schema, by its public interface.
    builder.add_conditional_edges(name, _to_the_end, {END: END})
    return builder


def _to_the_end(state: _Recorded) -> str:  # noqa: ARG001 - LangGraph reads its type
    return END


def _known(builder: StateGraph[Any, Any, Any, Any], after: str | Sequence[str]) -> list[str]:
    names = [after] if isinstance(after, str) else list(after)
    unknown = [source for source in names if source not in builder.nodes]
    if unknown or not names:
        raise ConfigurationError(
            f"publish_result_node(after={after!r}): the graph has no node {', '.join(map(repr, unknown)) or 'named'}; "
            f"it has {', '.join(map(repr, builder.nodes)) or 'none yet'}"
        )
    return names


def _chooser(select: Select | None) -> Callable[[Any], dict[str, Any]]:
    if select is None:
        return lambda state: _as_object(state, "the state")
    if callable(select):
        return lambda state: _as_object(select(state), f"what {getattr(select, '__name__', 'select')} returned")
    keys = [select] if isinstance(select, str) else list(select)
    if not keys or not all(isinstance(key, str) for key in keys):
        raise ConfigurationError(f"publish_result_node(select={select!r}): give a key, several keys or a callable")
    return lambda state: _as_object({key: _member(state, key) for key in keys}, "the state")


def _member(state: Any, key: str) -> Any:
    if isinstance(state, Mapping):
        if key in state:
            return state[key]
        known = list(state)
    else:
        if hasattr(state, key):
            return getattr(state, key)
        known = list(vars(state))
    raise KeyError(f"the state has no {key!r} for the result; it has {', '.join(map(repr, known)) or 'nothing'}")


def _as_object(chosen: object, what: str) -> dict[str, Any]:
    plain = to_plain_json(chosen)
    if not isinstance(plain, dict):
        raise TypeError(f"a result is an object of named values; {what} is a {type(chosen).__qualname__}")
    return plain
